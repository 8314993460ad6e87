"""A limit on how long one read may last: while it runs no checkpoint gets past it, and the WAL grows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from math import inf

_STEPS = 20_000
"""Instructions of SQLite's machine between two looks at the clock: about a millisecond; most reads need fewer."""


class ReadLimit:
    """Interrupts what runs on one connection once its time is up."""

    def __init__(self, connection: sqlite3.Connection, limit_s: float, monotonic_s: Callable[[], float]) -> None:
        self._limit_s = limit_s
        self._monotonic_s = monotonic_s
        self._ends_s = inf
        connection.set_progress_handler(self._is_over, _STEPS)

    def __enter__(self) -> None:
        """One read begins. Past its time it fails with SQLITE_INTERRUPT."""
        self._ends_s = self._monotonic_s() + self._limit_s

    def __exit__(self, *_: object) -> None:
        self._ends_s = inf

    def _is_over(self) -> bool:
        return self._monotonic_s() >= self._ends_s
