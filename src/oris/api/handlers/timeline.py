"""Timelines: a page of one, the whole of one, and whether it is the one that was written."""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import UNSET, Raw

from oris.api.envelope import around, ok
from oris.api.handlers.common import PAGE_BYTES, latest_run, not_found
from oris.api.http import Answer, Write
from oris.api.services import Call
from oris.core.chain import GENESIS, Entry
from oris.core.events import is_damaged
from oris.core.model import Job
from oris.core.verify import ChainCheck
from oris.errors import Unavailable
from oris.ids import JobKey
from oris.storage.reads.threads import Told
from oris.wire.history import EventView, ExportedEventView, ExportQuery, TimelineQuery, VerifiedView
from oris.wire.jobs import ThreadQuery
from oris.wire.pages import TimelinePage
from oris.wire.times import rfc3339

LINES = 500
"""Events that are read at a time. Each reading is short, and nothing of it stays open while a client is slow."""
CHECKED = 100
"""Events that are checked at a time: hashing them holds up the event loop for about a millisecond, and the reader is
free for others in between."""
_NOTHING = Raw(b"{}")
LINES_BYTES = 256 * 1024
"""The same in bytes, payloads included; a single one may be larger."""


async def page(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/timeline`."""
    query: TimelineQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    reads = call.services.engine.reads
    if query.payloads:
        found = await reads.told(job.job_key, query.after_seq, query.limit, PAGE_BYTES)
        shown = [event_view(line.entry, line.payload, damaged=line.damaged) for line in found.items]
    else:
        shown = [event_view(entry) for entry in await reads.timeline(job.job_key, query.after_seq, query.limit)]
    return ok(call, TimelinePage(tuple(shown)))


async def export(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/timeline/export`: the timeline as it is now, in one document."""
    query: ExportQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    return Answer(200, b"", stream=partial(_export, call, job, query.payloads))


async def verify(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/verify`."""
    query: ThreadQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    reads, check = call.services.engine.reads, _check_of(job)
    while True:
        found = await reads.told(job.job_key, check.seq, CHECKED, LINES_BYTES)
        if found.items and found.items[0].entry.seq > check.seq + 1:
            again = await reads.job(job.job_key)
            if again is None:
                raise not_found("thread")
            if again.pruned_seq > check.seq:
                # What comes next has gone meanwhile: what is kept is checked.
                job, check = again, _check_of(again)
                continue
        if not check.add([(line.entry, line.payload) for line in found.items]):
            break
        if found.more:
            continue
        before, latest = check.seq, await reads.job(job.job_key)
        if latest is None:
            raise not_found("thread")
        job = latest
        if not found.items or job.seq <= before:
            check.ends_as(job)
            break
    bad = check.first_bad_seq
    return ok(call, VerifiedView(check.events, job.head_hash.hex(), bad is None, UNSET if bad is None else bad))


def _check_of(job: Job) -> ChainCheck:
    return ChainCheck(job.pruned_seq, job.pruned_hash or GENESIS)


def event_view(entry: Entry, payload: bytes | None = None, *, damaged: bool = False) -> EventView:
    """A line of a timeline, with its payload if that is to be shown; a damaged one is told of instead."""
    is_readable = not is_damaged(entry)
    damaged = damaged or not is_readable
    return EventView(
        seq=entry.seq,
        event_type=entry.event_type,
        run_id=entry.run_id,
        attempt_no=entry.attempt_no,
        data=Raw(entry.data) if is_readable else _NOTHING,
        created_at=rfc3339(entry.at_ms),
        worker_id=UNSET if entry.worker_id is None else entry.worker_id,
        payload=UNSET if payload is None or damaged else Raw(payload),
        damaged=True if damaged else UNSET,
    )


async def _export(call: Call, job: Job, payloads: bool, write: Write) -> None:
    """Up to the head that `job` tells of, whatever is added meanwhile. The first piece holds events already, so that
    a store that cannot be read is answered as such."""
    before, after = around(call.request_id)
    about = {"thread_id": job.thread_id, "tenant_id": job.tenant_id, "run_id": job.run_id}
    piece, seq, events = before + msgspec.json.encode(about)[:-1] + b',"timeline":[', job.pruned_seq, 0
    while seq < job.seq:
        lines = [line for line in await _lines(call, job.job_key, seq, payloads) if line.entry.seq <= job.seq]
        if (not lines or lines[0].entry.seq != seq + 1) and await _has_gone(call, job.job_key, seq):
            raise Unavailable("the thread was pruned meanwhile")
        if not lines:
            break
        # Of a list its brackets are left out: the list goes on.
        piece += (b"," if events else b"") + msgspec.json.encode([_exported(line) for line in lines])[1:-1]
        await write(piece)
        piece, seq, events = b"", lines[-1].entry.seq, events + len(lines)
    end = {"events": events, "head_hash": job.head_hash.hex()}
    await write(piece + b"]," + msgspec.json.encode(end)[1:] + after)


async def _has_gone(call: Call, job_key: JobKey, after_seq: int) -> bool:
    """Whether what comes after this event was pruned; a timeline that is damaged is shown as it is."""
    job = await call.services.engine.reads.job(job_key)
    return job is None or job.pruned_seq > after_seq


async def _lines(call: Call, job_key: JobKey, after_seq: int, payloads: bool) -> list[Told]:
    reads = call.services.engine.reads
    if payloads:
        return list((await reads.told(job_key, after_seq, LINES, LINES_BYTES)).items)
    return [Told(entry, None) for entry in await reads.timeline(job_key, after_seq, LINES)]


def _exported(line: Told) -> ExportedEventView:
    entry, shown = line.entry, event_view(line.entry, line.payload, damaged=line.damaged)
    digest = entry.payload_digest
    return ExportedEventView(
        **msgspec.structs.asdict(shown),
        hash=entry.hash.hex(),
        payload_digest=None if digest is None else digest.hex(),
        skew_ms=entry.skew_ms or UNSET,
    )
