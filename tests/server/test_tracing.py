"""One span per request and per commit, and the trace of a run: ids as the API shows them, nothing that was sent."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from oris.api.auth import Authenticator, Credential
from oris.api.dispatch import Dispatcher, RawRequest, Seen
from oris.api.routes import route_table
from oris.api.services import ApiBounds, Health, Services
from oris.clock import EngineClock
from oris.config.levels import parse_levels
from oris.errors import OutcomeUnknown, Unavailable
from oris.observability.log_format import render_json
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.observability.trace import stored_trace
from oris.server.meter import Meter
from oris.server.tracing import FLUSH_S, RequestSpans, TracingMeter, flush_spans

from ..engine.harness import World, running
from ..observability.listening import Listening, place
from .test_meter import Lines

SECRET = "a-bearer-token-that-nobody-may-see"
PAYLOAD = "a-payload-that-nobody-may-see"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Data = dict[str, Any]


@dataclass
class Api:
    """The whole API over a world, without sockets; `listening` None: nobody listens."""

    world: World
    dispatcher: Dispatcher[Services]
    told: list[Seen]

    async def call(
        self, method: str, path: str, body: Data | None = None, *, token: str = SECRET, trace: str | None = None
    ) -> tuple[int, Data, str | None]:
        """Status, data or error, and the answer's `traceparent`."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"authorization", f"Bearer {token}".encode())]
        if trace is not None:
            headers.append((b"traceparent", trace.encode()))
        if content:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        answer = await self.dispatcher.dispatch(RawRequest(method, path, b"", tuple(headers), content))
        whole = json.loads(answer.body)
        found: Data = whole.get("data", whole.get("error"))
        return answer.status, found, dict(answer.headers).get("traceparent")

    async def post(self, path: str, **body: Any) -> Data:
        """A call that succeeds."""
        status, data, _ = await self.call("POST", path, body)
        assert status == 200, data
        return data


@asynccontextmanager
async def serving(listening: Listening | None) -> AsyncIterator[Api]:
    metrics, logs = Metrics("1.0", trio.current_time), Logs(parse_levels("error"), render_json, Lines(), lambda: 0)
    spans = None if listening is None else listening.spans

    def meter(clock: EngineClock) -> Meter:
        told = (metrics, logs, clock.now_ms)
        return Meter(*told) if spans is None else TracingMeter(spans, *told)

    async with running(watched_by=meter) as world:
        seen: list[Seen] = []
        services = Services(
            world.engine,
            random.Random(3),
            ApiBounds(),
            lambda: Health(True, True, "serving", "ok", "applied", {}),
            lambda: b"",
            dict,
            spans=spans,
        )
        dispatcher = Dispatcher(
            route_table(1 << 20),
            services,
            Authenticator([Credential("bearer", SECRET)]),
            clock=trio.current_time,
            rng=random.Random(4),
            fault_log=lambda request_id, method, path, error: None,
            observe=seen.append if spans is None else RequestSpans(spans, seen.append),
            sampled=None if spans is None else spans.sampled,
        )
        yield Api(world, dispatcher, seen)


def _attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_each_request_is_one_span_at_the_place_that_its_answer_shows(autojump_clock: MockClock) -> None:
    listening = Listening()
    async with serving(listening) as api:
        _, _, child = await api.call("GET", "/v1/jobs", trace=CALLER)
        _, _, root = await api.call("GET", "/v1/jobs/nobody")
        assert child is not None
        assert root is not None
        shown = [stored_trace(text) for text in (child, root)]
        first, second = listening.kept
        assert [(place(span).trace_id, place(span).span_id) for span in (first, second)] == [
            (trace.trace_id, trace.span_id) for trace in shown
        ]
        caller = stored_trace(CALLER)
        assert (place(first).trace_id, place(first).parent_span_id) == (caller.trace_id, caller.span_id)
        assert place(second).parent_span_id is None
        assert (first.name, second.name) == ("GET /v1/jobs", "GET /v1/jobs/{thread_id}")
        assert _attributes(second) == {
            "http.request.method": "GET",
            "http.route": "/v1/jobs/{thread_id}",
            "http.response.status_code": 404,
            "oris.request_id": api.told[1].request_id,
        }
        assert second.status.status_code is StatusCode.UNSET


async def test_requests_that_find_no_route_or_no_caller_are_spans_too(autojump_clock: MockClock) -> None:
    listening = Listening()
    async with serving(listening) as api:
        await api.call("GET", "/nowhere/secret-in-a-path")
        await api.call("BREW", "/v1/jobs")
        await api.call("GET", "/v1/jobs", token="wrong")
        names = [(span.name, _attributes(span)["http.response.status_code"]) for span in listening.kept]
        assert names == [("GET", 404), ("_OTHER", 405), ("GET /v1/jobs", 401)]


async def test_a_run_has_one_trace_with_all_that_was_done_for_it(autojump_clock: MockClock) -> None:
    listening = Listening()
    async with serving(listening) as api:
        submitted = await api.post("/v1/jobs", thread_id="t", input={"x": PAYLOAD})
        polled = await api.post("/v1/workers/poll", worker_id="w")
        (attempt,) = polled["attempts"]
        held = {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
        beaten = await api.post("/v1/workers/w/heartbeat", lease_id=held["lease_id"])
        step = {"action_id": "a", "status": "succeeded", "dedupe_token": "1", "output": PAYLOAD}
        reported = await api.post("/v1/workers/w/report-step", **held, **step)
        acked = await api.post("/v1/workers/w/ack", **held, terminal_status="completed", result=PAYLOAD)
        run = submitted["trace"]
        (first,) = listening.named("POST /v1/jobs")
        assert (place(first).trace_id, place(first).span_id) == (run["trace_id"], run["span_id"])
        shown = {"grant": attempt, "heartbeat": beaten, "report-step": reported, "ack": acked}
        for name, answer in shown.items():
            (span,) = listening.named(name)
            found = place(span)
            assert found.trace_id == run["trace_id"]
            assert found.parent_span_id == run["span_id"]
            assert found.span_id == answer["trace"]["span_id"]
            assert found.traceparent == answer["trace"]["traceparent"]
            (link,) = span.links
            request = next(one for one in listening.kept if place(one).span_id == f"{link.context.span_id:016x}")
            assert request.name.startswith("POST /v1/workers/")
        assert _attributes(listening.named("ack")[0])["oris.attempt_id"] == attempt["attempt_id"]
        assert _attributes(listening.named("ack")[0])["oris.worker_id"] == "w"


async def test_a_heartbeat_for_many_leases_is_a_span_in_each_runs_trace(autojump_clock: MockClock) -> None:
    listening = Listening()
    async with serving(listening) as api:
        traces = {(await api.post("/v1/jobs", thread_id=thread))["trace"]["trace_id"] for thread in ("a", "b", "c")}
        polled = await api.post("/v1/workers/poll", worker_id="w", limit=3)
        leases = [attempt["lease_id"] for attempt in polled["attempts"]]
        await api.post("/v1/workers/w/heartbeat", lease_ids=[*leases, "lse_unknown"])
        assert {place(span).trace_id for span in listening.named("heartbeat")} == traces
        assert len(listening.named("heartbeat")) == 3


async def test_each_commit_is_a_span_with_its_size_and_outcome(autojump_clock: MockClock) -> None:
    listening = Listening()
    async with serving(listening) as api:
        await api.post("/v1/jobs/batch", jobs=[{"thread_id": "a"}, {"thread_id": "b"}])
        (commit,) = listening.named("commit")
        assert _attributes(commit) == {
            "oris.commit.commands": 2,
            "oris.commit.units": 1,
            "oris.commit.polls": 0,
            "oris.commit.outcome": "committed",
        }
        assert commit.parent is None
        for error in (Unavailable("busy"), OutcomeUnknown("nobody knows")):
            api.world.store.before = lambda needs, error=error: error  # type: ignore[misc]
            status, _, _ = await api.call("POST", "/v1/jobs", {"thread_id": f"c{type(error).__name__}"})
            assert status == 503
        failed = listening.named("commit")[1:]
        assert [_attributes(span)["oris.commit.outcome"] for span in failed] == ["Unavailable", "OutcomeUnknown"]
        assert {span.status.status_code for span in failed} == {StatusCode.ERROR}
        requests = listening.named("POST /v1/jobs")
        assert {span.status.status_code for span in requests} == {StatusCode.ERROR}
        assert {_attributes(span)["error.type"] for span in requests} == {"503"}


async def test_what_is_not_sampled_is_told_onwards_and_makes_no_span(autojump_clock: MockClock) -> None:
    listening = Listening()
    async with serving(listening) as api:
        _, data, answered = await api.call("POST", "/v1/jobs", {"thread_id": "t"}, trace=CALLER[:-1] + "0")
        assert answered is not None
        assert answered.endswith("-00")
        assert data["trace"]["traceparent"].endswith("-00")
        await api.post("/v1/workers/poll", worker_id="w")
        assert listening.named("grant") == []
        assert listening.named("POST /v1/jobs") == []
        assert len(listening.named("POST /v1/workers/poll")) == 1


async def test_no_span_holds_a_secret_or_a_payload(autojump_clock: MockClock) -> None:
    listening = Listening()
    async with serving(listening) as api:
        await api.post("/v1/jobs", thread_id="t", input=PAYLOAD, metadata={"m": PAYLOAD})
        polled = await api.post("/v1/workers/poll", worker_id="w")
        attempt = polled["attempts"][0]
        held = {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
        checkpoint = {"values": PAYLOAD}
        step = {"action_id": "a", "status": "succeeded", "dedupe_token": "1", "checkpoint": checkpoint}
        await api.post("/v1/workers/w/report-step", **held, **step)
        error = {"type": PAYLOAD, "message": PAYLOAD, "retryable": False}
        await api.post("/v1/workers/w/ack", **held, terminal_status="failed", error=error)
        await api.call("POST", "/v1/jobs", {"thread_id": "t", "input": PAYLOAD, "unknown": PAYLOAD})
        await api.call("GET", f"/v1/jobs/{PAYLOAD}", token=SECRET + "x")
        assert len(listening.kept) > 8
        text = "".join(span.to_json() for span in listening.kept)
        assert SECRET not in text
        assert PAYLOAD not in text
        assert attempt["lease_id"] not in text


async def test_when_nobody_listens_nothing_is_called(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("somebody makes a span")

    for name in ("sampled", "request", "of_run", "inner", "_emit"):
        monkeypatch.setattr(f"oris.observability.spans.Spans.{name}", forbidden)
    async with serving(None) as api:
        submitted = await api.post("/v1/jobs", thread_id="t")
        attempt = (await api.post("/v1/workers/poll", worker_id="w"))["attempts"][0]
        assert attempt["trace"]["trace_id"] == submitted["trace"]["trace_id"]
        assert attempt["trace"]["parent_span_id"] == submitted["trace"]["span_id"]
        assert len(api.told) == 2


class Stuck:
    """Spans whose collector never answers."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def shutdown(self) -> None:
        self.let_go.wait(60.0)


async def test_a_collector_that_does_not_answer_is_left_after_a_bound(autojump_clock: MockClock) -> None:
    lines, began_at_s = Lines(), trio.current_time()
    logs = Logs(parse_levels("info"), render_json, lines, lambda: 0)
    stuck = Stuck()
    await flush_spans(stuck, logs)  # type: ignore[arg-type]
    assert trio.current_time() - began_at_s == pytest.approx(FLUSH_S)
    assert [line["detail"] for line in lines.named("spans_lost")] == ["the last spans could not be sent within 3 s"]
    stuck.let_go.set()
