"""A parked poll: one worker's wait for work or for a control message. Its states, and the ways between them:

        take                      serve: it got nothing
    NEW ────────────> FIRST_LOOK ─────────────────────────> IN_LINE, or another of the WAITING states
     ↑ ↑                   │                                 │  │  ↑
     │ └───────────────────┘                                 │  │  │ serve: it got nothing
     │  serve: it got nothing, and was not shown all         │  │  │
     │                                                       │  │  │
     └───────────────────────────────────────────────────────┘  └→ TAKEN
        free: a poll that names its threads is looked at anew      take: from IN_LINE alone;
        (free: any other one goes to IN_LINE)                      free takes a poll there

    BROUGHT by an ack: its batch is that of the ack. From there it goes on as from FIRST_LOOK.

    BROUGHT, FIRST_LOOK, TAKEN ── serve: it got something, or has ended meanwhile; fail ──> OVER
    BROUGHT ───────────────────── refuse ─────────────────────────────────────────────────> OVER
    NEW, WAITING ──────────────── end, give_up ───────────────────────────────────────────> OVER
    each of them ──────────────── leave ──────────────────────────────────────────────────> GONE

Something else than a grant may end a poll (`ending`) while a batch holds it: then it is OVER once that batch has
answered it. One that is NEW and ends with a control message or with `draining` is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum, auto
from typing import Literal

import trio

from oris.core.changes import Handed, handed_to
from oris.core.commands import Want
from oris.core.replies import Granted
from oris.engine.control import Control
from oris.engine.watch import Session
from oris.errors import StoreError
from oris.ids import RunId

Ending = Literal["granted", "control", "superseded", "session_superseded", "draining", "failed", "refused"]


class State(IntEnum):
    """Where a poll is. For each state in which somebody has to find the poll, `Demand` keeps a line."""

    NEW = auto()
    """The next dispatch looks at it."""
    BROUGHT = auto()
    """It came with an ack: it is in the unit of that, in the inbox or in the batch that is being committed."""
    FIRST_LOOK = auto()
    """In the batch that is being committed; no dispatch has shown it all that it could take."""
    IN_LINE = auto()
    """Waits for a lane that may hold work for it."""
    TAKEN = auto()
    """In the batch that is being committed; it was IN_LINE."""
    AT_TENANT_LIMIT = auto()
    """Its own limit per tenant keeps it from all work: waits for the end of any lease, or for a new job."""
    AT_WORKER_LIMIT = auto()
    """Its worker may hold no further lease: waits for the end of one of them, or for a probe's time."""
    CHOOSING = auto()
    """It names its threads: waits for a job of one of them and, if a limit per tenant keeps it from one, for the end of
    any lease."""
    WITHOUT_ROOM = auto()
    """Waits until answers that nobody has read leave room for its own."""
    CONTROL_ONLY = auto()
    """It takes no work: waits for a control message, and stands in no line."""
    OVER = auto()
    """Its caller is to be answered with what it has."""
    GONE = auto()
    """Its caller has been answered, or has gone."""


IN_BATCH = frozenset({State.BROUGHT, State.FIRST_LOOK, State.TAKEN})
WAITING = frozenset(
    {
        State.IN_LINE,
        State.AT_TENANT_LIMIT,
        State.AT_WORKER_LIMIT,
        State.CHOOSING,
        State.WITHOUT_ROOM,
        State.CONTROL_ONLY,
    }
)
_TAKEABLE = frozenset({State.NEW, State.IN_LINE})
_BROUGHT = frozenset({State.BROUGHT})
_HELD_BACK = WAITING - {State.IN_LINE, State.CONTROL_ONLY}
_NOT_OVER = WAITING | IN_BATCH | {State.NEW}
_NOT_GONE = _NOT_OVER | {State.OVER}


class Parked:
    """One poll that waits for work or for a control message.

    A method that is not legal in the state of the poll raises RuntimeError: a bug.
    """

    __slots__ = (
        "_event",
        "control",
        "ending",
        "error",
        "granted",
        "handed",
        "on_move",
        "since_ms",
        "state",
        "ticket",
        "want",
        "watched",
    )

    def __init__(self, want: Want, since_ms: int, watched: Session | None = None, *, brought: bool = False) -> None:
        """`brought`: by an ack, in whose unit it is."""
        self.want = want
        self.watched = watched
        """Whose connection is watched, if anybody's."""
        self.since_ms = since_ms
        """When it came."""
        self.state = State.BROUGHT if brought else State.NEW
        self.ending: Ending | None = None
        """What the wait has ended with; None: nothing has ended it."""
        self.ticket = 0
        """Its place among the polls that wait: rises with every time it is queued."""
        self.granted: Granted | None = None
        self.handed: Mapping[RunId, Handed] = {}
        self.control: tuple[Control, ...] = ()
        self.error: StoreError | None = None
        self.on_move: Callable[[Parked, State], None] = _ignore
        """Told of each change of the state, with the state before it."""
        self._event = trio.Event()

    @property
    def is_in_batch(self) -> bool:
        """True while a batch is to answer it: the one that holds it, or the one that takes its unit."""
        return self.state in IN_BATCH

    def take(self) -> None:
        """The next batch takes it along. NEW: it becomes FIRST_LOOK. IN_LINE: it becomes TAKEN."""
        self._must_be(_TAKEABLE, "taken")
        self._go(State.FIRST_LOOK if self.state is State.NEW else State.TAKEN)

    def serve(self, granted: Granted, handed: Mapping[RunId, Handed], otherwise: State) -> None:
        """The dispatch of its batch has looked at it. It is OVER when it got something, or has ended meanwhile.

        `otherwise`: its next state if it got nothing. When that is NEW, a poll that has ended goes on all the same.
        """
        self._must_be(IN_BATCH, "served")
        self.granted, self.handed = granted, handed_to(granted, handed)
        if granted.jobs or granted.redelivered:
            self.ending = self.ending or "granted"
        elif granted.blocked == "session_superseded":
            self.ending = self.ending or "session_superseded"
        self._go(otherwise if self.ending is None or otherwise is State.NEW else State.OVER)
        self._event.set()

    def fail(self, error: StoreError) -> None:
        """Its batch could not be committed: it is OVER.

        One that has ended is answered with that, unless it was still to learn what its poll id was granted before.
        """
        self._must_be(IN_BATCH, "failed")
        self.error = error
        if self.ending is None or (self.state is not State.TAKEN and _is_looked_at_all_the_same(self.ending)):
            self.ending = "failed"
        self._go(State.OVER)
        self._event.set()

    def refuse(self) -> None:
        """BROUGHT: its unit was refused, and so it gets nothing. It is OVER."""
        self._must_be(_BROUGHT, "refused")
        self.ending = self.ending or "refused"
        self._go(State.OVER)
        self._event.set()

    def free(self) -> None:
        """What has kept it from work may be over: it stands IN_LINE. If it names its threads, it is NEW again."""
        self._must_be(_HELD_BACK, "freed")
        self._go(State.IN_LINE if self.want.threads is None else State.NEW)

    def end(self, ending: Ending) -> None:
        """Something else than a grant ends the wait; the first ending counts.

        WAITING: it is OVER. In a batch, or NEW and to be looked at all the same: its state stays.
        """
        self._must_be(_NOT_OVER, "ended")
        self.ending = self.ending or ending
        if self.state in WAITING or not (self.is_in_batch or _is_looked_at_all_the_same(self.ending)):
            self._go(State.OVER)
        self._event.set()

    def give_up(self, ending: Ending) -> None:
        """As `end`, but a poll that is NEW is not looked at any more: it is OVER."""
        self.end(ending)
        if self.state is State.NEW:
            self._go(State.OVER)

    def leave(self) -> None:
        """Its caller has been answered, or has gone: it is GONE. Legal in each other state."""
        self._must_be(_NOT_GONE, "left")
        self._go(State.GONE)

    async def wait(self) -> None:
        """Until a batch has answered it, or something has ended it, since the last wait. A checkpoint."""
        await self._event.wait()
        self._event = trio.Event()

    async def looked_at(self) -> None:
        """Until no dispatch is to look at it any more, however long that takes. A checkpoint if one is."""
        while self.state is State.NEW or self.is_in_batch:
            await self.wait()

    def _must_be(self, states: frozenset[State], done: str) -> None:
        if self.state not in states:
            raise RuntimeError(f"a poll that is {self.state.name} cannot be {done}")

    def _go(self, state: State) -> None:
        before, self.state = self.state, state
        self.on_move(self, before)


def _is_looked_at_all_the_same(ending: Ending) -> bool:
    """The leases of a lost answer to its poll id are to come with such an ending."""
    return ending in ("control", "draining")


def _ignore(parked: Parked, before: State) -> None:
    """A poll that nobody has parked stands in no line."""
