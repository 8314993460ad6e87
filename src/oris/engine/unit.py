"""Units: the commands of one request, on their way through the committer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Literal

import trio
from msgspec import Struct

from oris.core.audit import Audit
from oris.core.commands import Command
from oris.core.replies import Refusal, Reply
from oris.engine.parked import Parked
from oris.errors import ErrorCode, StoreError

Lane = Literal["renew", "write", "sweep", "client", "submit", "lookup"]
"""The inbox lane of a unit, each with room of its own. Only what makes runs meets admission: one that is refused but
may be a repeat (it names an idempotency key, or is a replay) is moved to `lookup`, where nothing but a repeat of an
accepted one is answered with success."""


class State(Enum):
    """Where a unit is. QUEUED and cancelled: GONE, never taken. TAKEN and cancelled: it is committed all the same."""

    QUEUED = auto()
    TAKEN = auto()
    GONE = auto()
    DONE = auto()


class Answered(Struct, frozen=True):
    """What came of a unit: a reply per command."""

    replies: tuple[Reply, ...]


class Unit:
    """Commands that are decided one after the other in one commit, each on its own.

    `poll` is served in the same commit; not when the only command was refused. `audit` makes one record of the whole.
    `size_bytes` counts the payloads. `by_admin`: its new runs are let in although new runs are switched off. `seed` is
    fixed when the unit is first taken.
    """

    __slots__ = (
        "_done",
        "answer",
        "audit",
        "by_admin",
        "commands",
        "error",
        "lane",
        "poll",
        "refusal",
        "seed",
        "size_bytes",
        "state",
    )

    def __init__(
        self,
        lane: Lane,
        commands: Sequence[Command],
        *,
        poll: Parked | None = None,
        audit: Audit | None = None,
        size_bytes: int = 0,
        by_admin: bool = False,
    ) -> None:
        self.lane = lane
        self.commands = tuple(commands)
        self.poll = poll
        self.audit = audit
        self.size_bytes = size_bytes
        self.by_admin = by_admin
        self.refusal: Refusal | None = None
        """What new runs of this unit are answered: admission was closed when it came."""
        self.seed = 0
        self.state = State.QUEUED
        self.answer: Answered | None = None
        self.error: StoreError | None = None
        self._done = trio.Event()

    def __len__(self) -> int:
        return max(1, len(self.commands))

    def finish(self, answer: Answered) -> None:
        """Hand the answer to whoever waits. Synchronous."""
        self.answer, self.state = answer, State.DONE
        self._done.set()

    def fail(self, error: StoreError) -> None:
        """Hand an error to whoever waits."""
        self.error, self.state = error, State.DONE
        self._done.set()

    async def wait(self) -> None:
        """Until answered. A checkpoint."""
        await self._done.wait()

    def unwrap(self) -> Answered:
        """The answer. Raises the StoreError the unit failed with."""
        if self.error is not None:
            # Many share it: without this each asker's frames would hang on it.
            raise self.error.with_traceback(None)
        assert self.answer is not None
        return self.answer


INTERNAL = Refusal(ErrorCode.INTERNAL, "internal error; the command was not carried out")
"""The reply to a command whose decision raised."""
