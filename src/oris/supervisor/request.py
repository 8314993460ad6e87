"""Why the tree stops, and how much patience it still has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oris.supervisor.hard_exit import HardExit
    from oris.supervisor.plan import StopPlan


class StopRequest:
    """The first cause is the reason; a failure after an asked-for stop still turns exit 0 into 1."""

    def __init__(self, plan: StopPlan, hard_exit: HardExit) -> None:
        self.asked = trio.Event()
        self.exit_code = 0
        self.reason: str | None = None
        self.hurried = False
        self._plan = plan
        self._hard_exit = hard_exit
        self._waits: set[trio.CancelScope] = set()
        self._on_ask: list[Callable[[], None]] = []

    def when_asked(self, call: Callable[[], None]) -> None:
        """Call it in the moment the stop is asked for; at once if it was."""
        if self.asked.is_set():
            call()
        else:
            self._on_ask.append(call)

    def ask(self, exit_code: int, reason: str) -> None:
        """Ask for the ordered stop and arm the hard exit; later only the first failure is noted."""
        if not self.asked.is_set():
            self.exit_code, self.reason = exit_code, reason
            self.asked.set()
            self._hard_exit.arm(self._plan.limit_s + self._plan.margin_s)
            for call in self._on_ask:
                call()
        elif self.exit_code == 0 and exit_code != 0:
            self.exit_code, self.reason = 1, f"{self.reason}; then {reason}"

    def hurry(self) -> None:
        """No more actions and graces. The order stays, and so does the time to unwind."""
        if self.hurried:
            return
        self.hurried = True
        self._hard_exit.arm(self._plan.margin_s)
        for scope in self._waits:
            scope.cancel(reason="stop now")

    @contextmanager
    def patience(self, until: float) -> Iterator[None]:
        """Wait inside until `until` at most, and not at all once there is a hurry."""
        with trio.CancelScope(deadline=until) as scope:
            if self.hurried:
                scope.cancel(reason="stop now")
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)
