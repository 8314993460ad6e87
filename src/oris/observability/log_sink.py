"""Where finished log lines go. `put` never waits."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Sink(Protocol):
    """Takes lines without their ends."""

    @property
    def dropped(self) -> int:
        """Lines that were thrown away so far, because there was no room or nowhere to write."""

    def put(self, line: str) -> None:
        """Take a line or drop it; from any thread, never waiting for whoever reads the log."""

    def close(self, timeout_s: float) -> int:
        """Write what is left, for at most this long; the number of lines that could not be."""


class MemorySink:
    """Keeps the last lines, for tests and the simulator."""

    def __init__(self, max_lines: int = 10_000) -> None:
        self.lines: deque[str] = deque(maxlen=max_lines)
        self.dropped = 0

    def put(self, line: str) -> None:
        self.dropped += len(self.lines) == self.lines.maxlen
        self.lines.append(line)

    def close(self, timeout_s: float) -> int:
        return 0
