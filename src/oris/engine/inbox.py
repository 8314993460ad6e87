"""The committer's inbox: one queue per lane, bounded in commands and bytes, taken from in turn.

Renewals go first, then workers' writes, then the sweeper's, then what clients do to runs (cancel, resume, reject), then
submits, then submits that can only be repeats; each lane has its own room, so a flood of submits, or of answers to
interrupts, takes nothing from those who already hold work.
"""

from __future__ import annotations

from collections import deque

from oris.engine.bounds import CommitBounds
from oris.engine.unit import Lane, State, Unit
from oris.errors import Unavailable

ORDER: tuple[Lane, ...] = ("renew", "write", "sweep", "client", "submit", "lookup")


class Room:
    """How much still goes into a batch."""

    def __init__(self, commands: int, size_bytes: int, polls: int) -> None:
        self.commands = commands
        self.size_bytes = size_bytes
        self.polls = polls

    def share(self, of: int) -> Room:
        """One part of this many."""
        return Room(self.commands // of, self.size_bytes // of, self.polls // of)

    def holds(self, unit: Unit) -> bool:
        """True when the unit fits."""
        polls = self.polls > 0 or unit.poll is None
        return polls and len(unit) <= self.commands and unit.size_bytes <= self.size_bytes

    def fill(self, unit: Unit) -> None:
        """Take the unit's part away."""
        self.commands -= len(unit)
        self.size_bytes -= unit.size_bytes
        self.polls -= unit.poll is not None


class Inbox:
    """Units that wait to be committed. Every method is synchronous."""

    def __init__(self, max_commands: int, max_bytes: int) -> None:
        self._queues: dict[Lane, deque[Unit]] = {lane: deque() for lane in ORDER}
        self._commands = dict.fromkeys(ORDER, 0)
        self._bytes = dict.fromkeys(ORDER, 0)
        self._max_commands = max_commands
        self._max_bytes = max_bytes

    def put_nowait(self, unit: Unit, *, always: bool = False) -> None:
        """Queue a unit. Raises Unavailable (`inbox_full`) when its lane is at its bound, unless `always`."""
        lane = unit.lane
        commands, size = self._commands[lane] + len(unit), self._bytes[lane] + unit.size_bytes
        full = commands > self._max_commands or size > self._max_bytes
        if full and self._queues[lane] and not always:
            raise Unavailable("too many requests wait for a commit; try again later", "inbox_full")
        self._commands[lane], self._bytes[lane] = commands, size
        self._queues[lane].append(unit)

    def take(self, bounds: CommitBounds) -> list[Unit]:
        """The next units; withdrawn ones are dropped. Their state becomes TAKEN.

        In a first round every lane gets its share of the batch, and at least one unit however large; in a second one
        the lanes fill what is left, in order. So a flood in one lane delays the others by a batch at most.
        """
        taken: list[Unit] = []
        room = Room(bounds.max_commands, bounds.max_bytes, bounds.max_polls)
        for lane in ORDER:
            self._take(lane, room.share(len(ORDER)), room, taken, at_least=1)
        for lane in ORDER:
            self._take(lane, room, room, taken, at_least=0)
        return taken

    def _take(self, lane: Lane, share: Room, room: Room, taken: list[Unit], at_least: int) -> None:
        queue = self._queues[lane]
        count = 0
        while queue:
            unit = queue[0]
            if unit.state is State.QUEUED and count >= at_least and not share.holds(unit):
                return
            queue.popleft()
            self._commands[lane] -= len(unit)
            self._bytes[lane] -= unit.size_bytes
            if unit.state is not State.QUEUED:
                continue
            unit.state = State.TAKEN
            taken.append(unit)
            count += 1
            room.fill(unit)
            if share is not room:
                share.fill(unit)

    def drain(self) -> list[Unit]:
        """Everything that waits, for good."""
        units = [unit for lane in ORDER for unit in self._queues[lane] if unit.state is State.QUEUED]
        for lane in ORDER:
            self._queues[lane].clear()
            self._commands[lane] = self._bytes[lane] = 0
        return units

    def fullness(self) -> float:
        """How full the submit lane is, 0 to 1."""
        commands = self._commands["submit"] / self._max_commands
        return min(1.0, max(commands, self._bytes["submit"] / self._max_bytes))

    def depth(self) -> int:
        """Commands that wait, over all lanes."""
        return sum(self._commands.values())

    def __bool__(self) -> bool:
        return any(self._queues.values())
