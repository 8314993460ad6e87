"""A thread's timeline as Server-Sent Events, while it is written."""

from __future__ import annotations

from functools import partial

import msgspec

from oris.api.handlers.common import latest_run
from oris.api.handlers.timeline import event_view
from oris.api.http import NO_CONTENT, Answer, Write
from oris.api.services import Call
from oris.core.chain import Entry
from oris.core.model import TERMINAL, Job
from oris.engine.listeners import Listener, Section
from oris.errors import ApiError, ErrorCode, invalid
from oris.ids import JobKey
from oris.wire.history import EventsQuery

COMMENT_S = 15.0
"""A stream that has nothing to tell says so after this time, so that proxies keep it and a dead client is noticed."""
SECTION_EVENTS = 100
"""Events that are read, and sent, at a time."""
RETRY_MS = 1000
"""After this, and as much again at random, a client whose stream has ended asks again: not all of them at once."""
_DIGITS_MAX = 18
_HEADERS = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),
)


async def listen(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/events`: until the run is over that is the latest when it is asked for."""
    query: EventsQuery = call.options
    after_seq = query.after_seq if call.last_event_id is None else _seq(call.last_event_id)
    job = await latest_run(call, query.tenant_id, query.run_id)
    if job.status in TERMINAL and after_seq >= job.seq:
        return Answer(NO_CONTENT, b"")
    if after_seq > job.seq:
        raise invalid("after_seq", f"has to be at most {job.seq}, the end of the timeline")
    engine = call.services.engine
    if engine.admission.draining:
        raise ApiError(
            ErrorCode.UNAVAILABLE, "the server is stopping; try again", {"reason": "draining"}, retry_after_s=1
        )
    # The stream takes its place without a checkpoint from here: no more than these listen.
    if len(engine.listeners) >= call.services.bounds.listeners_max or call.services.waits.are_full:
        raise ApiError(
            ErrorCode.UNAVAILABLE, "too many event streams; try again later", {"reason": "inbox_full"}, retry_after_s=1
        )
    return Answer(200, b"", _HEADERS, stream=partial(_tell, call, job, after_seq))


async def _tell(call: Call, job: Job, after_seq: int, write: Write) -> None:
    engine = call.services.engine
    read, after_seq = partial(_section, call, job.job_key), max(after_seq, job.pruned_seq)
    with call.services.waits.place(), engine.listeners.register(job.job_key, job.run_id) as listener:
        await write(b"retry: %d\n\n" % (RETRY_MS + call.services.random.getrandbits(10)))
        await _look(call, job, listener)
        while not listener.is_done(after_seq):
            if listener.seq > after_seq:
                section = await listener.read(after_seq, read)
                if section.through_seq == after_seq:
                    return  # there should be more: `verify` tells what is the matter
                await write(section.data)
                after_seq = section.through_seq
                continue
            with call.patience.at_most(COMMENT_S) as wait:
                await listener.news(after_seq)
            if call.patience.over:
                return  # it has got what there is, and the next events might never reach it
            if wait.cancelled_caught:
                await write(b": nothing new\n\n")
                await _look(call, job, listener)


async def _look(call: Call, job: Job, listener: Listener) -> None:
    """How the run stands in the store: what was committed without this node's knowledge shows here at the latest."""
    found = await call.services.engine.reads.run(job.run_id)
    if found is not None:
        listener.tell(found)
    else:
        listener.give_up()  # it was so old that it has gone


async def _section(call: Call, job_key: JobKey, after_seq: int) -> Section:
    """The events that come next, all of one run: the end of a run is the end of a section."""
    entries = await call.services.engine.reads.timeline(job_key, after_seq, SECTION_EVENTS)
    if entries and entries[0].seq != after_seq + 1:
        entries = []  # what comes next has gone meanwhile: whoever asks again begins behind it
    told = [entry for entry in entries if entry.run_id == entries[0].run_id]
    return Section(after_seq, told[-1].seq if told else after_seq, b"".join(map(_message, told)))


def _message(entry: Entry) -> bytes:
    # A line break inside the data, which is JSON, means nothing but would end the field.
    data = b"\ndata: ".join(msgspec.json.encode(event_view(entry)).splitlines())
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (entry.seq, entry.event_type.encode(), data)


def _seq(last_event_id: str) -> int:
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= _DIGITS_MAX):
        raise invalid("last-event-id", "not an event id of this stream; send the id of the last event that you read")
    return int(last_event_id)
