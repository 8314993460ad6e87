"""Checkpoints: which there are, and what they hold."""

from __future__ import annotations

from msgspec import Raw

from oris.api.envelope import ok
from oris.api.handlers.common import NULL, latest_run, next_cursor, not_found, place_after
from oris.api.http import Answer
from oris.api.services import Call
from oris.errors import DataDamaged
from oris.ids import checkpoint_id, checkpoint_of
from oris.storage.reads.threads import SavedCheckpoint
from oris.wire.history import CheckpointDetailView, CheckpointRow, HistoryQuery
from oris.wire.jobs import ThreadQuery
from oris.wire.pages import CheckpointsPage
from oris.wire.times import rfc3339


async def list_checkpoints(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/history`."""
    query: HistoryQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    page = await call.services.engine.reads.checkpoints(job.job_key, place_after(call, query.cursor), query.limit)
    return ok(call, CheckpointsPage(tuple(map(checkpoint_row, page.items)), next_cursor(call, page)))


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/checkpoints/{checkpoint_id}`."""
    query: ThreadQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    named = call.path_params["checkpoint_id"]
    place = checkpoint_of(named)
    if place is None:
        raise not_found("checkpoint")
    run, seq = place
    found = await call.services.engine.reads.told(job.job_key, seq - 1, 1, 1)
    if not found.items:
        raise not_found("checkpoint")
    entry, values = found.items[0].entry, found.items[0].payload
    if (entry.seq, entry.run_id, entry.event_type) != (seq, run, "checkpoint_saved"):
        raise not_found("checkpoint")
    if found.items[0].damaged:
        raise DataDamaged(job.job_key, seq)
    shown = NULL if values is None else Raw(values)
    return ok(call, CheckpointDetailView(job.thread_id, run, named, shown, rfc3339(entry.at_ms)))


def checkpoint_row(saved: SavedCheckpoint) -> CheckpointRow:
    """A checkpoint in a list."""
    return CheckpointRow(checkpoint_id(saved.run_id, saved.seq), saved.run_id, saved.seq, rfc3339(saved.at_ms))
