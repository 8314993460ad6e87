"""How often and how fast a failing child is restarted. Pure: time and chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartBudget:
    """At most `restarts` restarts within any `window_s` seconds in which the child was ready.

    Time spent starting and backing off does not age the window, so a child that needs long to fail at its
    start uses its budget up like one that fails fast.
    """

    restarts: int = 5
    window_s: float = 60.0
    backoff_s: float = 0.1
    """The ceiling of the first backoff; each further restart in the window multiplies it."""
    backoff_max_s: float = 10.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing. Raises ValueError."""
        if self.restarts < 0 or self.window_s <= 0:
            raise ValueError("restarts must not be negative, window_s must be positive")
        if self.backoff_s < 0 or self.backoff_max_s < self.backoff_s or self.multiplier < 1:
            raise ValueError("0 <= backoff_s <= backoff_max_s and multiplier >= 1 must hold")

    def backoff_ceiling_s(self, nth: int) -> float:
        """The longest wait before the `nth` restart (from 1) in the window, in seconds."""
        ceiling = self.backoff_s
        for _ in range(nth - 1):
            if ceiling >= self.backoff_max_s:
                break
            ceiling *= self.multiplier
        return min(ceiling, self.backoff_max_s)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The failures of one child on its own clock, which runs only while the child is ready."""

    ready_s: float = 0.0
    failures: tuple[float, ...] = ()

    def after_failure(self, budget: RestartBudget, ready_for_s: float) -> Ledger:
        """Book a failure of a run that was ready for `ready_for_s`, and forget what left the window."""
        ready_s = self.ready_s + ready_for_s
        kept = tuple(stamp for stamp in self.failures if ready_s - stamp < budget.window_s)
        return Ledger(ready_s, (*kept, ready_s))

    def allows_restart(self, budget: RestartBudget) -> bool:
        """Whether the last failure booked may be answered with a restart."""
        return len(self.failures) <= budget.restarts

    def backoff_s(self, budget: RestartBudget, chance: float) -> float:
        """The wait before the next restart: full jitter, `chance` in [0, 1) of the ceiling."""
        return chance * budget.backoff_ceiling_s(len(self.failures))
