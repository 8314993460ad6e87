"""The judge: collects what was violated; the first violation ends the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from oris.core.violation import Violation


class Judge:
    """Whoever checks something tells it here. Nothing raises: a checker must not change what it watches."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self.found: list[Violation] = []

    def require(self, holds: bool, rule: str, where: str, what: str) -> None:
        """One thing that must be so."""
        if not holds:
            self.fail(Violation(rule, where, what))

    def fail(self, violation: Violation) -> None:
        """Something is not as it must be."""
        if len(self.found) < 20:
            self.found.append(violation)
        self._stop()

    def all(self, violations: Iterable[Violation]) -> None:
        """What a function of `core.invariants` found."""
        for violation in violations:
            self.fail(violation)
