"""A fleet of workers: at rest, with work, dying, and cut off."""

from __future__ import annotations

from dataclasses import dataclass

from bench.broken import Broken, broken
from bench.crowded import Crowded, crowded
from bench.measure import Size


@dataclass(frozen=True)
class Fleet:
    """Each on a server of its own."""

    crowded: Crowded
    broken: Broken


def fleet(size: Size) -> Fleet:
    """Both."""
    return Fleet(crowded(size.fleet), broken(size.fleet))
