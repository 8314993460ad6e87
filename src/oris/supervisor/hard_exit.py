"""The last resort: a thread of the operating system that ends the process, whatever the event loop does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

THREAD_NAME = "hard-exit"


class HardExit:
    """Calls `end_process(code())` once: when its time is over, or by `fire()`. Real time, not Trio's."""

    def __init__(self, end_process: Callable[[int], object], code: Callable[[], int]) -> None:
        self._end_process = end_process
        self._code = code
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._done = False

    def arm(self, after_s: float) -> None:
        """Fire in `after_s` seconds; an earlier arming is replaced. Does nothing once it fired or was disarmed."""
        if self._done:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(after_s, self.fire)
        self._timer.name = THREAD_NAME
        self._timer.daemon = True
        self._timer.start()

    def disarm(self) -> None:
        """The stop has ended; a timer that fires at this very moment does nothing any more."""
        with self._lock:
            self._done = True
        if self._timer is not None:
            self._timer.cancel()

    def fire(self) -> None:
        """End the process now, from any thread. Returns only if `end_process` does."""
        with self._lock:
            if self._done:
                return
            self._done = True
        self._end_process(self._code())
