"""A commit that found the disk full: new runs are refused, and everybody else is committed without them.

What finishes work needs little room, and the store keeps some for it; new runs are what fills a disk.
"""

from __future__ import annotations

from oris.core.commands import makes_run
from oris.engine.batch import Batch
from oris.engine.unit import Unit
from oris.errors import StoreError, Unavailable


def parted(batch: Batch, error: StoreError) -> tuple[Batch, Batch]:
    """Who is refused, and who is committed again, in the same order. Ends: room is made a limited number of times."""
    if not _no_room(error):
        return batch, _part(batch, [], parked=False)
    new, others = [u for u in batch.units if _makes_runs(u)], [u for u in batch.units if not _makes_runs(u)]
    if new:
        return _part(batch, new, parked=False), _part(batch, others, parked=True)
    assert isinstance(error, Unavailable)
    none = _part(batch, [], parked=False)
    return (none, _part(batch, others, parked=True)) if error.again else (batch, none)


def only_new_runs_lack_room(refused: Batch, error: StoreError) -> bool:
    """Whether nothing is known against the store but that it has no room for new runs."""
    return _no_room(error) and not refused.parked and all(_makes_runs(unit) for unit in refused.units)


def _no_room(error: StoreError) -> bool:
    return isinstance(error, Unavailable) and error.cause == "disk_full"


def _makes_runs(unit: Unit) -> bool:
    return unit.refusal is None and any(map(makes_run, unit.commands))


def _part(batch: Batch, units: list[Unit], *, parked: bool) -> Batch:
    return Batch(batch.batch_id + "r", batch.seed, units, batch.parked if parked else [])
