"""Rows that fit into a number and a size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from oris.core.lookups import Stretch

T = TypeVar("T")


def stretch(rows: Iterable[T], limit: int, max_bytes: int, size: Callable[[T], int]) -> Stretch[T]:
    """The first rows that fit, one at least. A row is read when it is asked for: no more than one in vain.

    `rows` has to hold one more than `limit`, if there is one.
    """
    items: list[T] = []
    room = max_bytes
    for row in rows:
        room -= size(row)
        if len(items) == limit or (items and room < 0):
            return Stretch(tuple(items), more=True)
        items.append(row)
    return Stretch(tuple(items), more=False)
