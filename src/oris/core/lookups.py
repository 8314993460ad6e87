"""Lookups: what a store is asked for in the middle of a decision about what to read next.

A generator yields the lookups it wants next, all that it can name by then, and is sent their answers in the same order.
So the rules say what is read and no store is called from here; a store answers one after the other or all at once.
(psycopg keeps its protocol apart from its waiting in this way.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeAlias, TypeVar, cast

from msgspec import Struct

from oris.core.changes import HandedStep
from oris.core.model import DeadLetter, Job, ReplayClaim, Source, WaitKind, WaitStatus
from oris.ids import JobKey, RunId, WaitId

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Lookup(Struct, Generic[T_co], frozen=True):
    """One question to a store; `T_co` is the type of its answer."""


Lookups: TypeAlias = Generator[Sequence[Lookup[object]], Sequence[object], T]
"""Asks as often as it has to, and comes to a `T`."""


def look(lookup: Lookup[T]) -> Lookups[T]:
    """Ask one question."""
    (found,) = yield (lookup,)
    return cast("T", found)


def look_all(lookups: Sequence[Lookup[T]]) -> Lookups[Sequence[T]]:
    """Ask several questions of one kind at once."""
    if not lookups:
        return ()
    found = yield lookups
    return cast("Sequence[T]", found)


def answered(asking: Lookups[T], answer: Callable[[Lookup[object]], object]) -> T:
    """What it comes to, when `answer` answers one lookup after the other."""
    try:
        wanted = next(asking)
        while True:
            wanted = asking.send([answer(lookup) for lookup in wanted])
    except StopIteration as end:
        return cast("T", end.value)


class Stretch(Struct, Generic[T], frozen=True):
    """Items in order, bounded in number and in bytes, but one at least if there is one."""

    items: tuple[T, ...]
    more: bool
    """There are others behind them."""


class StoredPayload(Struct, frozen=True):
    """A payload, and the digest that its event has of it; None: no event tells of it."""

    body: bytes
    digest: bytes | None


class Saved(Struct, frozen=True):
    """What an event that saved a checkpoint says: whose it is, the digest and the size of its values."""

    run_id: RunId
    digest: bytes
    size_bytes: int


class SettledWait(Struct, frozen=True):
    """A wait of a run that is over. `number` rises in the order in which the waits were raised."""

    settled_ms: int
    number: int
    wait_id: WaitId
    kind: WaitKind
    key: str
    status: WaitStatus
    value_seq: int
    value_index: int
    settled_seq: int


class PayloadAt(Lookup[StoredPayload | None], frozen=True):
    """The payload of an event."""

    job_key: JobKey
    seq: int


class PayloadBytes(Lookup[int], frozen=True):
    """Its size; 0: there is none."""

    job_key: JobKey
    seq: int


class StepsOf(Lookup[Stretch[HandedStep]], frozen=True):
    """The latest report of each step that a run has, by event, those it took over from others first: from `after_seq`
    on, at most so many, with at most so many bytes of outputs and errors together. Raises DataDamaged."""

    job_key: JobKey
    run_id: RunId
    sources: tuple[Source, ...]
    after_seq: int
    limit: int
    max_bytes: int


class SettledWaits(Lookup[Sequence[SettledWait]], frozen=True):
    """The waits of a run that were settled, those that were raised last, the newest first."""

    run_id: RunId
    limit: int


class StepBytes(Lookup[int], frozen=True):
    """The size of what a run's steps that had succeeded by this event have given."""

    job_key: JobKey
    run_id: RunId
    until_seq: int


class PastRun(Lookup[Job | None], frozen=True):
    """A run that a newer one has replaced."""

    run_id: RunId


class SavedAt(Lookup[Saved | None], frozen=True):
    """The checkpoint that an event has saved."""

    job_key: JobKey
    seq: int


class ClaimOf(Lookup[ReplayClaim | None], frozen=True):
    """Who has claimed a target of replays last."""

    target: str


class LetterOf(Lookup[DeadLetter | None], frozen=True):
    """The dead letter of a run."""

    run_id: RunId
