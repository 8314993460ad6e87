"""What a check of `core.invariants` answers with."""

from __future__ import annotations

from msgspec import Struct


class Violation(Struct, frozen=True):
    """One thing that is not as it must be."""

    rule: str
    """The invariant's code: see docs/invariants.md."""
    where: str
    what: str
