"""The supervisor's record of one child, and of the run it is in."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import trio

from oris.supervisor.budget import Ledger
from oris.supervisor.report import ChildFault, ChildState, ChildStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from oris.supervisor.child import Child
    from oris.supervisor.handle import Handle


class Run:
    """One life of a child, from start to end. It is the `task_status` the child is given."""

    def __init__(self, child: Child, handle: Handle, on_ready: Callable[[object], None]) -> None:
        self.handle = handle
        self.scope = trio.CancelScope()
        self.ready_at: float | None = None
        self.fault: ChildFault | None = None
        """Why the checker cut it, if it did."""
        self.over = False
        self._child = child
        self._on_ready = on_ready
        self._opened_at = trio.current_time()
        self._cut_at = inf

    def started(self, value: object = None) -> None:
        """Called by the child when it is ready. Raises RuntimeError the second time."""
        if self.ready_at is not None:
            raise RuntimeError(f"child {self._child.name!r} called started() twice")
        if self.fault is not None or self.over:
            return  # too late: it was cut
        self.handle.beat()
        self.ready_at = self.handle.beat_at
        self._on_ready(value)

    def due_at(self) -> float:
        """When the checker must act on it if nothing changes; `inf` for never."""
        if self.over:
            return inf
        if self.fault is not None:
            return self._cut_at + self._child.unwind_s
        if self.ready_at is None:
            return self._opened_at + self._child.start_timeout_s
        if self._child.stall_after_s is None or self.handle.is_idle:
            return inf
        return self.handle.beat_at + self._child.stall_after_s

    def excuse(self, seconds: float) -> None:
        """Shift every deadline by the time in which nothing could run."""
        now = trio.current_time()
        self._opened_at = min(now, self._opened_at + seconds)
        self.handle.beat_at = min(now, self.handle.beat_at + seconds)
        if self.fault is not None:
            self._cut_at = min(now, self._cut_at + seconds)

    def cut(self) -> ChildFault:
        """Cancel it for being overdue; the fault says why."""
        if self.ready_at is None:
            text = f"not ready within {self._child.start_timeout_s:g} s"
        else:
            text = f"no progress for {self._child.stall_after_s:g} s"
        self.fault = ChildFault(text)
        self._cut_at = trio.current_time()
        self.scope.cancel(reason=text)
        return self.fault


class Task:
    """A child and what became of it, over all its runs."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.state: ChildState = "starting"
        self.opened = False
        self.run: Run | None = None
        self.value: object = None
        self.was_ready = False
        self.restarts = 0
        self.last_error: str | None = None
        self.ledger = Ledger()
        self.given_up = False
        """It ignores cancellation: nothing waits for it any more, and it is never restarted."""
        self.settled = trio.Event()
        """It was ready once, or is over."""
        self.stop_asked = trio.Event()
        self.ended = trio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether it runs and has said so."""
        return self.run is not None and self.run.ready_at is not None

    def due_at(self) -> float:
        """When the checker must act; after the stop was asked for the stop list is in charge."""
        if self.run is None or self.given_up or self.stop_asked.is_set():
            return inf
        return self.run.due_at()

    def soonest_due_s(self) -> float:
        """No change from now on can make it due sooner than in so many seconds."""
        stall_s = self.child.stall_after_s
        return min(self.child.start_timeout_s, inf if stall_s is None else stall_s)

    def excuse(self, seconds: float) -> None:
        """For so long nothing could run: that counts against nobody."""
        if self.run is not None:
            self.run.excuse(seconds)

    def ask_stop(self) -> None:
        """Ask the child to end; it has its grace."""
        self.stop_asked.set()
        if not self.given_up:
            self.state = "stopping"
        if self.run is not None:
            self.run.handle.stopping.set()

    def cancel(self, reason: str) -> None:
        """End its run by cancellation."""
        if self.run is not None:
            self.run.scope.cancel(reason=reason)

    def give_up(self) -> ChildFault:
        """Wait for it no more."""
        self.given_up = True
        self.state = "failed"
        self.last_error = f"does not end within {self.child.unwind_s:g} s of being cancelled"
        if self.run is not None and self.run.fault is not None:
            self.last_error = f"{self.run.fault}, and {self.last_error}"
        return ChildFault(self.last_error)

    def status(self) -> ChildStatus:
        """A snapshot."""
        since_s = None if self.run is None else trio.current_time() - self.run.handle.beat_at
        return ChildStatus(self.child.name, self.state, self.restarts, self.last_error, since_s)
