"""A parked poll: one worker's wait for work or for a control message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import trio

from oris.core.changes import Handed, handed_to
from oris.core.commands import Want
from oris.core.replies import Granted
from oris.engine.control import Control
from oris.engine.watch import Session
from oris.errors import StoreError
from oris.ids import RunId, TenantId

Ending = Literal["granted", "control", "superseded", "session_superseded", "draining", "failed"]


class Parked:
    """One poll that waits for work or for a control message."""

    __slots__ = (
        "_event",
        "control",
        "ending",
        "error",
        "gone",
        "granted",
        "handed",
        "looked",
        "seen",
        "since_ms",
        "taken",
        "ticket",
        "waited",
        "want",
        "watched",
    )

    def __init__(self, want: Want, since_ms: int, watched: Session | None = None) -> None:
        self.want = want
        self.watched = watched
        """Whose connection is watched, if anybody's."""
        self.since_ms = since_ms
        """When it came."""
        self.ticket = 0
        """Its place among the polls that wait: rises with every time it is queued."""
        self.looked = False
        """A dispatch has seen it."""
        self.seen: set[TenantId] = set()
        """Tenants that it was shown and that were at its own limit, by dispatches in a row that showed it no others."""
        self.waited = False
        """A dispatch has come to all that it could take, and there was nothing: it may be answered so."""
        self.taken = False
        """In the batch that is being committed."""
        self.gone = False
        """Nobody waits for it any more."""
        self.ending: Ending | None = None
        self.granted: Granted | None = None
        self.handed: Mapping[RunId, Handed] = {}
        self.control: tuple[Control, ...] = ()
        self.error: StoreError | None = None
        self._event = trio.Event()

    @property
    def unseen(self) -> bool:
        """True when a dispatch has still to look at it.

        Also one that a control message has ended, or that came while dispatch was off: the leases of a lost answer to
        its poll id are to come with it.
        """
        return not self.looked and self.ending in (None, "control", "draining")

    def serve(self, granted: Granted, handed: Mapping[RunId, Handed]) -> None:
        """A dispatch has looked at it. Ends the wait when it got something."""
        self.granted, self.handed = granted, handed_to(granted, handed)
        self.looked, self.taken = True, False
        if granted.jobs or granted.redelivered:
            self.end("granted")
        elif granted.blocked == "session_superseded":
            self.end("session_superseded")
        else:
            self._event.set()

    def fail(self, error: StoreError) -> None:
        """The batch it was taken into could not be committed."""
        if self.unseen:
            self.ending = "failed"
        self.error, self.taken = error, False
        self.end("failed")

    def end(self, ending: Ending) -> None:
        """End the wait; the first ending counts."""
        if self.ending is None:
            self.ending = ending
        self._event.set()

    def give_up(self, ending: Ending) -> None:
        """End the wait; nothing will look at it any more."""
        self.end(ending)
        self.looked = True

    async def wait(self) -> None:
        """Until something has changed since the last wait. A checkpoint."""
        await self._event.wait()
        self._event = trio.Event()
