"""Spans have the ids that answers show, and are there only when the sampler says so."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from oris.observability.spans import GivenIds
from oris.observability.trace import Trace

from .listening import NOW_NS, NOW_S, Listening, place

HIGH, LOW = "f" * 32, "0" * 31 + "1"
"""Trace ids at the two ends: a ratio keeps the low ones."""
SPAN, PARENT = "00f067aa0ba902b7", "00f067aa0ba902b8"


def test_a_request_has_the_place_that_its_answer_shows() -> None:
    listening = Listening()
    child, root = Trace(HIGH, SPAN, PARENT), Trace(LOW, SPAN)
    for trace in (child, root):
        listening.spans.request("GET /v1/x", trace, 0.25, {"http.route": "/v1/x"}, failed=False)
    assert [place(span) for span in listening.kept] == [child, root]
    span = listening.kept[0]
    assert (span.name, span.kind, span.status.status_code) == ("GET /v1/x", SpanKind.SERVER, StatusCode.UNSET)
    assert (span.start_time, span.end_time) == (NOW_NS - 250_000_000, NOW_NS)
    assert span.attributes == {"http.route": "/v1/x"}


def test_a_request_that_had_no_place_yet_gets_a_trace_of_its_own() -> None:
    listening = Listening()
    listening.spans.request("GET", None, 0.0, {}, failed=True)
    listening.spans.inner("commit", 0.5, {}, failed=False)
    first, second = listening.kept
    assert (first.parent, second.parent) == (None, None)
    assert place(first).trace_id != place(second).trace_id
    assert first.status.status_code is StatusCode.ERROR


def test_what_was_done_for_a_run_is_in_its_trace_and_names_the_request() -> None:
    listening = Listening()
    trace, cause = Trace(HIGH, SPAN, PARENT), Trace(LOW, PARENT)
    listening.spans.of_run("ack", trace, NOW_S - 2.0, {"oris.worker_id": "w"}, cause)
    listening.spans.of_run("grant", trace, 0.0, {}, cause, 40)
    for span in listening.kept:
        assert place(span) == trace
        (link,) = span.links
        assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (LOW, PARENT)
    ack, grant = listening.kept
    assert ack.start_time == NOW_NS - 2_000_000_000
    assert grant.start_time == NOW_NS - 40_000_000


@pytest.mark.parametrize(
    ("sampler", "trace", "is_kept"),
    [
        (None, Trace(HIGH, SPAN), True),
        (None, Trace(HIGH, SPAN, PARENT, 1), True),
        (None, Trace(HIGH, SPAN, PARENT, 0), False),
        (ALWAYS_OFF, Trace(HIGH, SPAN, PARENT, 1), False),
        (ALWAYS_ON, Trace(HIGH, SPAN, PARENT, 0), True),
        (TraceIdRatioBased(0.5), Trace(LOW, SPAN), True),
        (TraceIdRatioBased(0.5), Trace(HIGH, SPAN), False),
        (ParentBased(TraceIdRatioBased(0.5)), Trace(HIGH, SPAN, PARENT, 1), True),
        (ParentBased(TraceIdRatioBased(0.5)), Trace(LOW, SPAN, PARENT, 0), False),
    ],
)
def test_the_flag_that_is_told_onwards_is_true(sampler: Sampler | None, trace: Trace, is_kept: bool) -> None:
    listening = Listening(sampler)
    sampled = listening.spans.sampled(trace)
    assert sampled.flags == int(is_kept)
    assert replace(sampled, flags=trace.flags) == trace
    listening.spans.request("GET", sampled, 0.0, {}, failed=False)
    assert [place(span) for span in listening.kept] == ([sampled] if is_kept else [])


class Counting:
    """Gives one number for all ids."""

    def generate_trace_id(self) -> int:
        return 7

    def generate_span_id(self) -> int:
        return 8


def test_ids_are_given_to_the_thread_they_are_meant_for() -> None:
    ids = GivenIds(Counting())
    ids.give(Trace(HIGH, SPAN))
    others: list[int] = []
    thread = threading.Thread(target=lambda: others.extend((ids.generate_trace_id(), ids.generate_span_id())))
    thread.start()
    thread.join()
    assert others == [7, 8]
    assert (ids.generate_trace_id(), ids.generate_span_id()) == (int(HIGH, 16), int(SPAN, 16))
    ids.give(None)
    assert (ids.generate_trace_id(), ids.generate_span_id()) == (7, 8)


def test_spans_of_others_keep_their_own_ids() -> None:
    listening = Listening()
    listening.spans.request("GET", Trace(HIGH, SPAN), 0.0, {}, failed=False)
    listening.provider.get_tracer("other").start_span("theirs").end()
    (theirs,) = listening.named("theirs")
    assert place(theirs).trace_id != HIGH
    assert place(theirs).span_id != SPAN
