"""Lists, a page at a time, newest first. A place in a list is a key that never changes: when the thing was made, and
its id. So it is the same on every store, and holds over restarts, VACUUM, dump and restore.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.model import DeadLetter, Job, Wait, Worker

T = TypeVar("T")

WALK_MAX_ROWS = 10_000
"""Rows that one page may look at: a filter that few things match gives short pages instead of a long scan."""


class Place(Struct, frozen=True, order=True):
    """Where an item stands in its list; what comes later in the list has a smaller one."""

    number: int
    """When it was made, in ms; in the lists of one thread the number of an event."""
    id: str = ""
    """Orders those of one number."""


END = Place(2**63 - 1)
"""A place before all items."""


class Page(Struct, Generic[T], frozen=True):
    """Items newest first, and the place behind which the next page begins; None: this is the last one."""

    items: tuple[T, ...]
    next: Place | None


def page_of(found: Sequence[T], limit: int, place: Callable[[T], Place], walked_to: Place | None) -> Page[T]:
    """A page out of the items that were found, of which there is one more than `limit` when the page is full.

    `walked_to`: where the walk ended because it had looked at `WALK_MAX_ROWS`; None: it came to the end of the list.
    """
    if len(found) > limit:
        return cut(Page(tuple(found), walked_to), limit, place)
    return Page(tuple(found), walked_to)


def cut(page: Page[T], limit: int, place: Callable[[T], Place]) -> Page[T]:
    """The first `limit` items of a page, one at least; the next page begins behind the last of them."""
    if len(page.items) <= limit:
        return page
    items = page.items[:limit]
    return Page(items, place(items[-1]))


def place_of_thread(job: Job) -> Place:
    """By when the thread was made."""
    return Place(job.thread_created_ms, job.job_key)


def place_of_run(job: Job) -> Place:
    """Among the runs of its thread: by its last event."""
    return Place(job.seq)


def place_of_wait(wait: Wait) -> Place:
    """By when it was raised."""
    return Place(wait.created_ms, wait.wait_id)


def place_of_dead_letter(letter: DeadLetter) -> Place:
    """By when the run ended."""
    return Place(letter.dead_ms, letter.run_id)


def place_of_worker(worker: Worker) -> Place:
    """By when it was seen first."""
    return Place(worker.first_seen_ms, worker.worker_key)


def place_of_key(key: ApiKey) -> Place:
    """By when it was made."""
    return Place(key.created_ms, key.key_id)


def place_of_record(record: AuditRecord) -> Place:
    """By when it was written."""
    return Place(record.created_ms, record.audit_id)
