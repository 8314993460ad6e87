"""The ordered stop as a written list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Step:
    """First the action, then these children are stopped, all at once.

    The action must stand a tree that never became ready. A step is skipped, its action too, if it names
    children of which none was opened.
    """

    name: str
    deadline_s: float
    """For the action and the graces of the children; a cancelled child has its `unwind_s` beyond it."""
    action: Callable[[], Awaitable[object]] | None = None
    children: tuple[str, ...] = ()
    unwind_s: float = 1.0
    """How long the action may take to end after it was cut; then nothing waits for it."""


@dataclass(frozen=True, slots=True)
class StopPlan:
    """The steps in order. Children that no step names are stopped after them, last opened first."""

    steps: tuple[Step, ...] = ()
    limit_s: float = 30.0
    """For all steps together. When it is over the rest goes without actions and graces."""
    margin_s: float = 10.0
    """What then remains until the process is ended by force. Real time, like the timer that does it."""

    def check(self, child_names: tuple[str, ...]) -> None:
        """Raises ValueError if a step names a child that does not exist or was named before."""
        seen: set[str] = set()
        for step in self.steps:
            for name in step.children:
                if name not in child_names or name in seen:
                    raise ValueError(f"stop step {step.name!r}: child {name!r} is unknown or named twice")
                seen.add(name)
