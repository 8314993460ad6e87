"""The watchdog: a thread that ends the process when the event loop itself stands still.

The supervisor sees a task that hangs, but runs on the same loop: a synchronous call that never returns (a disk that
hangs under a read, a bug) stops both. Nothing inside can help then; a process that is gone is restarted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

CHECK_S = 1.0
PAUSED_S = 5.0
"""A check that comes so late was itself held up: the whole process, or the machine, stood still. Nobody is to blame."""


class Watchdog:
    """Calls `on_stuck` once, from its own thread, when no `beat` has come for `limit_s` while it is armed."""

    def __init__(
        self, limit_s: float, monotonic_s: Callable[[], float], on_stuck: Callable[[], object], check_s: float = CHECK_S
    ) -> None:
        self._limit_s = limit_s
        self._monotonic_s = monotonic_s
        self._on_stuck = on_stuck
        self._check_s = check_s
        self._beat_at: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oris-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def beat(self) -> None:
        """The loop turns. The first beat arms the watchdog."""
        self._beat_at = self._monotonic_s()

    def rest(self) -> None:
        """Nobody beats for now."""
        self._beat_at = None

    @property
    def stuck(self) -> bool:
        """Whether the last beat is too long ago."""
        beat_at = self._beat_at
        return beat_at is not None and self._monotonic_s() - beat_at > self._limit_s

    def check(self, since_last_s: float) -> bool:
        """Whether the loop is stuck, by a check that comes `since_last_s` after the one before."""
        if since_last_s > self._check_s + PAUSED_S and self._beat_at is not None:
            self.beat()
        return self.stuck

    def _run(self) -> None:
        checked_at = self._monotonic_s()
        while not self._stop.wait(self._check_s):
            now_s = self._monotonic_s()
            if self.check(now_s - checked_at):
                self._on_stuck()
                return
            checked_at = now_s
