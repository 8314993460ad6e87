"""A page of a list. All rows are at hand, so no page is short because it would have taken too long to fill."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import nlargest
from typing import TypeVar

from oris.storage.pages import END, Page, Place, page_of

T = TypeVar("T")


def page(rows: Iterable[T], place: Callable[[T], Place], after: Place | None, limit: int) -> Page[T]:
    """The newest of these rows that come behind a place."""
    start = after or END
    found = nlargest(limit + 1, (row for row in rows if place(row) < start), key=place)
    return page_of(found, limit, place, None)


def matches(value: object, wanted: object | None) -> bool:
    """Whether a filter lets a value through; None lets all through."""
    return wanted is None or value == wanted
