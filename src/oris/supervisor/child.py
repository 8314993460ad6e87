"""A child is a value: what to run, and what its end means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from oris.supervisor.budget import RestartBudget

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import trio

    from oris.supervisor.handle import Handle

OnFailure = Literal["critical", "restart"]


class ChildRun(Protocol):
    """The code of a child: `async def run(handle, task_status)`.

    It is ready when it has called `task_status.started(value)`, and not before. It returns only after
    `handle.stopping` was set; returning earlier is a failure, and so is any exception. It may be cancelled at
    every checkpoint and then cleans up in at most `unwind_s`.
    """

    def __call__(self, handle: Handle, /, *, task_status: trio.TaskStatus[object]) -> Awaitable[object]: ...


@dataclass(frozen=True, slots=True)
class Child:
    """One supervised task. Times are seconds of Trio's clock."""

    name: str
    run: ChildRun
    on_failure: OnFailure
    """critical: a failure stops the tree with exit 1. restart: only one beyond the budget does."""
    budget: RestartBudget = field(default_factory=RestartBudget)
    """Only looked at for `restart`."""
    grace_s: float = 5.0
    """How long it may go on after `stopping` was set; then it is cancelled."""
    unwind_s: float = 5.0
    """How long it may take to end after a cancellation; then it counts as stuck and nothing waits for it."""
    stall_after_s: float | None = None
    """No beat for so long, while ready and not idle, is a hang. None: not watched."""
    start_timeout_s: float = 30.0
    """How long it may take to become ready, at each start."""

    def __post_init__(self) -> None:
        """Refuse times that mean nothing. Raises ValueError."""
        if self.start_timeout_s <= 0 or (self.stall_after_s is not None and self.stall_after_s <= 0):
            raise ValueError(f"child {self.name!r}: start_timeout_s and stall_after_s must be positive")
        if self.grace_s < 0 or self.unwind_s < 0:
            raise ValueError(f"child {self.name!r}: grace_s and unwind_s must not be negative")
