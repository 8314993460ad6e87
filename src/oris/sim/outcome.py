"""What came of one seed, and of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from msgspec import Struct

from oris.core.violation import Violation


class Outcome(Struct, frozen=True):
    """One simulation. Two of the same seed are equal."""

    seed: int
    trace_hash: str
    virtual_s: float
    commits: int
    runs: int
    restarts: int
    faults: dict[str, int]
    sometimes: dict[str, int]
    violations: tuple[Violation, ...]

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"python -m oris simulate --seed {self.seed}"


class Summary(Struct):
    """Many simulations, added up."""

    seeds: int
    trace_hash: str
    """Over the traces of all of them."""
    virtual_s: float
    commits: int
    runs: int
    restarts: int
    faults: dict[str, int]
    sometimes: dict[str, int]
    failed: list[Outcome]


def summary(outcomes: Iterable[Outcome]) -> Summary:
    """Add them up."""
    total = Summary(0, "", 0.0, 0, 0, 0, {}, {}, [])
    faults: Counter[str] = Counter()
    sometimes: Counter[str] = Counter()
    traces = sha256()
    for one in outcomes:
        traces.update(one.trace_hash.encode())
        total.seeds += 1
        total.virtual_s += one.virtual_s
        total.commits += one.commits
        total.runs += one.runs
        total.restarts += one.restarts
        faults.update(one.faults)
        sometimes.update(one.sometimes)
        if one.violations:
            total.failed.append(one)
    total.faults, total.sometimes = dict(sorted(faults.items())), dict(sorted(sometimes.items()))
    total.trace_hash = traces.hexdigest()
    total.virtual_s = round(total.virtual_s, 3)
    return total
