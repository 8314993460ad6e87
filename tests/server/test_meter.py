"""The metrics are fed as their names say, by a real engine over a real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock, wait_all_tasks_blocked

from oris import ids
from oris.clock import EngineClock
from oris.config.levels import parse_levels
from oris.core.commands import Release, Replay, ReportStep, SetMode
from oris.core.mode import CLUSTER
from oris.core.model import RetryPolicy, StepStatus
from oris.core.replies import Refusal
from oris.engine.unit import Unit
from oris.errors import Unavailable
from oris.ids import WorkerKey, attempt_of
from oris.observability.log_format import render_json
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.server.gauges import REFRESH_S, refresh_gauges
from oris.server.meter import TELL_MS, Meter

from ..engine.harness import (
    TRACE,
    VirtualClock,
    World,
    ack,
    cancel,
    granted,
    heartbeat,
    lease_of,
    no_beat,
    running,
    submit,
    submits,
    the,
)


@dataclass
class Lines:
    """A sink that keeps what is logged."""

    events: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0

    def put(self, line: str) -> None:
        self.events.append(json.loads(line))

    def close(self, timeout_s: float) -> int:
        return 0

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.events if line["event"] == event]


@dataclass
class Watched:
    """A world with its metrics and log."""

    world: World
    metrics: Metrics
    lines: Lines
    logs: Logs

    def value(self, name: str, **labels: str) -> float:
        """One sample of the exposition; 0 when there is none."""
        for family in text_string_to_metric_families(self.metrics.render().decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0


@asynccontextmanager
async def watched(*, sweeper: bool = False, monitor: bool = False) -> AsyncIterator[Watched]:
    metrics, lines = Metrics("1.0", trio.current_time), Lines()
    logs = Logs(parse_levels("debug"), render_json, lines, lambda: 0)

    def meter(clock: EngineClock) -> Meter:
        return Meter(metrics, logs, clock.now_ms)

    async with running(sweeper=sweeper, monitor=monitor, watched_by=meter) as world:
        yield Watched(world, metrics, lines, logs)


async def test_submits_are_counted_by_key_and_repeats_and_mismatches_apart(autojump_clock: MockClock) -> None:
    async with watched() as w:
        await w.world.submitted("a", key="k")
        await w.world.submitted("a", key="k")
        the(Refusal, await w.world.submit("a", key="k", input=b"2"))
        await w.world.submitted("b")
        assert w.value("oris_runtime_submits_total", keyed="true") == 3
        assert w.value("oris_runtime_submits_total", keyed="false") == 1
        assert w.value("oris_runtime_idempotent_replays_total") == 1
        assert w.value("oris_runtime_idempotency_conflicts_total") == 1


async def test_a_step_that_was_done_twice_is_counted_and_one_that_is_sent_again_is_not(
    autojump_clock: MockClock,
) -> None:
    async with watched() as w:
        job = await w.world.start("a", "w")

        async def report(status: StepStatus, token: str, body: bytes) -> None:
            await w.world.ask(
                ReportStep(WorkerKey("/w"), attempt_of(job.run_id), lease_of(job), "s", status, token, body, None)
            )

        await report("succeeded", "1", b"1")
        await report("succeeded", "1", b"1")
        await report("started", "2", b"1")
        assert w.value("oris_runtime_duplicate_executions_total") == 0
        await report("succeeded", "1", b"2")
        await report("succeeded", "2", b"1")
        assert w.value("oris_runtime_duplicate_executions_total") == 2


async def test_a_replay_that_had_completed_is_counted_as_one(autojump_clock: MockClock) -> None:
    async with watched() as w:
        replay = Replay(ids.job_key(ids.NO_TENANT, ids.ThreadId("a")), TRACE)
        await w.world.ask(ack(await w.world.start("a", "w")))
        await w.world.ask(replay)
        await w.world.ask(replay)
        assert w.value("oris_runtime_idempotent_replays_total") == 0
        await w.world.ask(ack(await w.world.grant("w")))
        await w.world.ask(replay)
        assert w.value("oris_runtime_idempotent_replays_total") == 1


async def test_lease_operations_are_counted_by_their_result(autojump_clock: MockClock) -> None:
    async with watched() as w:
        job = await w.world.start("a", "w")
        await w.world.engine.ask(Unit("renew", [heartbeat(job)]))
        await w.world.ask(ack(job))
        await w.world.engine.ask(Unit("renew", [heartbeat(job)]))
        await w.world.ask(Release(job.worker_key, lease_of(job)))

        def count(operation: str, result: str) -> float:
            return w.value("oris_runtime_lease_operations_total", operation=operation, result=result)

        assert count("grant", "ok") == 1
        assert (count("renew", "ok"), count("renew", "conflict")) == (1, 1)
        assert count("ack", "ok") == 1
        assert count("release", "conflict") == 1
        assert w.value("oris_runtime_lease_conflicts_total") == 2
        assert w.value("oris_runtime_lease_conflict_rate") == pytest.approx(2 / 5)


async def test_ends_are_counted_by_status_whoever_brought_them(autojump_clock: MockClock) -> None:
    async with watched() as w:
        await w.world.ask(ack(await w.world.start("a", "w")))
        await w.world.ask(ack(await w.world.start("b", "w"), "failed"))
        await w.world.submitted("c")
        await w.world.ask(cancel("c"))
        await w.world.ask(cancel("c"))
        assert w.value("oris_runtime_terminal_acks_total", status="completed") == 1
        assert w.value("oris_runtime_terminal_acks_total", status="failed") == 1
        assert w.value("oris_runtime_terminal_acks_total", status="cancelled") == 1
        assert w.value("oris_runtime_terminal_error_rate") == pytest.approx(1 / 3)
        (dead,) = w.lines.named("run_dead_lettered")
        assert dead["thread_id"] == "b"


async def test_a_retry_is_no_end(autojump_clock: MockClock) -> None:
    async with watched() as w:
        job = await w.world.start("a", "w")
        policy = RetryPolicy("fixed", 10, 1)
        await w.world.ask(ack(job, "failed", retry_policy=policy))
        assert w.value("oris_runtime_terminal_acks_total", status="failed") == 0


async def test_a_run_that_ends_in_the_decision_that_makes_the_next_is_counted(autojump_clock: MockClock) -> None:
    async with watched() as w:
        await w.world.submitted("a", timeout_ms=1000)
        first = await w.world.grant("w")
        await trio.sleep(2)
        await w.world.submitted("a")
        assert w.value("oris_runtime_terminal_acks_total", status="failed") == 1
        (dead,) = w.lines.named("run_dead_lettered")
        assert dead["attempt_id"] == "att_" + first.run_id[4:]


async def test_a_lost_lease_and_its_recovery_are_told(autojump_clock: MockClock) -> None:
    async with watched(sweeper=True) as w:
        job = await w.world.start("a", "silent", ttl_ms=1000)
        await trio.sleep(3)
        await w.world.grant("next")
        assert w.value("oris_runtime_lease_expirations_total") == 1
        assert w.value("oris_runtime_recovery_latency_ms_count") == 1
        assert w.value("oris_runtime_recovery_latency_ms_sum") == pytest.approx(2000, abs=2)
        (lost,) = w.lines.named("lease_expired")
        assert (lost["worker_id"], lost["attempt_id"]) == ("silent", "att_" + job.run_id[4:])


async def test_dispatch_latency_runs_from_when_both_were_there(autojump_clock: MockClock) -> None:
    async with watched() as w:
        await w.world.submitted("early")
        await trio.sleep(1)
        w.world.store.takes_s = 0.02
        await w.world.grant("w")
        assert w.value("oris_runtime_dispatch_latency_ms_sum") == pytest.approx(20, abs=1)
        assert w.value("oris_runtime_queue_wait_ms_sum") == pytest.approx(1020, abs=1)
        poll = w.world.soon(lambda: w.world.poll("w", wait_s=50))
        await trio.sleep(10)
        await w.world.submitted("late")
        assert granted(await poll.get())
        # The commit that brings the job is the one that grants it.
        assert w.value("oris_runtime_dispatch_latency_ms_sum") == pytest.approx(20, abs=2)
        assert w.value("oris_runtime_dispatch_latency_ms_count") == 2


async def test_commits_are_measured(autojump_clock: MockClock) -> None:
    async with watched() as w:
        w.world.store.takes_s = 0.25
        await w.world.engine.ask(submits("a", "b", "c"))
        assert w.value("oris_runtime_commit_latency_ms_count") == 1
        assert w.value("oris_runtime_commit_latency_ms_sum") == pytest.approx(250, abs=1)
        assert w.value("oris_runtime_commit_batch_size_sum") == 3


async def test_what_is_held_back_is_counted_by_its_reason(autojump_clock: MockClock) -> None:
    async with watched() as w:
        await w.world.start("a", "w", worker_limit=1)
        await w.world.submitted("b")
        await w.world.poll("w", worker_limit=1)
        await w.world.poll("other", tenant_limit=1)
        w.world.engine.drain()
        the(Refusal, await w.world.submit("c"))
        for reason in ("worker_limit", "tenant_limit", "draining"):
            assert w.value("oris_runtime_backpressure_total", reason=reason) == 1


async def test_the_admission_level_is_shown(autojump_clock: MockClock) -> None:
    async with watched(monitor=True) as w:
        w.world.engine.admission.overloaded = True
        await trio.sleep(0.15)
        assert w.value("oris_runtime_admission_level") == 1
        assert w.value("oris_runtime_backpressure_active", reason="rate_limited") == 1
        w.world.engine.drain()
        await trio.sleep(0.1)
        assert w.value("oris_runtime_admission_level") == 2
        assert w.value("oris_runtime_backpressure_active", reason="rate_limited") == 0
        assert w.value("oris_runtime_backpressure_active", reason="draining") == 1
        assert w.value("oris_runtime_loop_lag_ms_count") == 2


async def test_a_failed_commit_and_a_failed_command_are_logged_with_their_cause(autojump_clock: MockClock) -> None:
    async with watched() as w:
        guilty = submit("bad").job_key
        w.world.store.before = lambda needs: ZeroDivisionError("planted") if guilty in needs.jobs else None
        the(Refusal, await w.world.submit("bad"))
        (line,) = w.lines.named("commit_failed")
        assert "ZeroDivisionError" in line["exception"]


async def test_gauges_show_what_the_store_counts(autojump_clock: MockClock) -> None:
    async with watched() as w:
        world = w.world
        await world.start("held", "w")
        await world.ask(ack(await world.start("dead", "w"), "failed"))
        await world.engine.ask(submits("q1", "q2"))
        await world.engine.ask(submits("later", delay_ms=3_600_000))
        await world.submitted("again", priority=9, retry_policy=RetryPolicy("fixed", 3_600_000, 1))
        await world.ask(ack(await world.grant("w"), "failed"))
        await trio.sleep(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refresh_gauges, w.metrics, w.logs, world.store.reads, world.engine.clock, no_beat)
            await wait_all_tasks_blocked()
            assert (w.value("oris_runtime_queue_depth"), w.value("oris_runtime_delayed_jobs")) == (2, 2)
            assert w.value("oris_runtime_active_leases") == 1
            assert w.value("oris_runtime_dead_letters") == 1
            assert w.value("oris_runtime_oldest_queued_age_ms") == pytest.approx(2000, abs=2)
            await world.poll("w", 2)
            await trio.sleep(REFRESH_S + 0.1)
            assert w.value("oris_runtime_queue_depth") == 0
            assert w.value("oris_runtime_oldest_queued_age_ms") == 0
            nursery.cancel_scope.cancel()


async def test_refused_commits_are_counted_by_cause_and_told_now_and_then(autojump_clock: MockClock) -> None:
    async with watched(monitor=True) as w:
        for _ in range(5):
            w.world.store.before = lambda _: Unavailable("no room", cause="disk_full")
            with pytest.raises(Unavailable):
                await w.world.submit("a")
            w.world.store.before = lambda _: Unavailable("odd")
            with pytest.raises(Unavailable):
                await w.world.submit("a")
        w.world.store.before = lambda _: None
        assert w.value("oris_store_refused_commits_total", cause="disk_full") == 5
        assert w.value("oris_store_refused_commits_total", cause="other") == 5
        assert [line["cause"] for line in w.lines.named("commit_refused")] == ["disk_full", "other"]
        await trio.sleep(TELL_MS / 1000)
        w.world.store.before = lambda _: Unavailable("no room", cause="disk_full")
        with pytest.raises(Unavailable):
            await w.world.submit("a")
        w.world.store.before = lambda _: None
        assert len(w.lines.named("commit_refused")) == 3


async def test_a_disk_without_room_is_a_reason_of_its_own(autojump_clock: MockClock) -> None:
    async with watched(monitor=True) as w:
        await w.world.submitted("known", key="k")
        w.world.engine.admission.no_room = lambda: True
        the(Refusal, await w.world.submit("a"))
        the(Refusal, await w.world.submit("b", key="unknown"))
        assert (await w.world.submitted("known", key="k")).replay
        await trio.sleep(0.2)
        assert w.value("oris_runtime_backpressure_total", reason="disk_full") == 2
        assert w.value("oris_runtime_backpressure_active", reason="disk_full") == 1
        assert w.value("oris_runtime_backpressure_active", reason="rate_limited") == 0
        w.world.engine.admission.no_room = lambda: False
        await trio.sleep(0.2)
        assert w.value("oris_runtime_backpressure_active", reason="disk_full") == 0


async def test_what_is_switched_off_shows_while_it_is(autojump_clock: MockClock) -> None:
    async with watched(monitor=True) as w:

        async def switch(on: bool) -> None:
            await w.world.ask(SetMode(CLUSTER, on, on, "upgrade", "ann"))
            await trio.sleep(0.2)

        await switch(False)
        the(Refusal, await w.world.submit("a"))
        assert w.value("oris_runtime_admission_level") == 2
        assert w.value("oris_runtime_backpressure_total", reason="draining") == 1
        active = "oris_runtime_backpressure_active"
        assert (w.value(active, reason="draining"), w.value(active, reason="dispatch_off")) == (1, 1)
        await switch(True)
        assert w.value("oris_runtime_admission_level") == 0
        assert (w.value(active, reason="draining"), w.value(active, reason="dispatch_off")) == (0, 0)
        told = [(line["level"], line["mode"], line["set_by"], line["reason"]) for line in w.lines.named("mode_changed")]
        assert told == [("warning", "drained", "ann", "upgrade"), ("info", "serving", "ann", "upgrade")]


async def test_jumps_of_the_clock_are_counted_and_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(monitor=True) as w:
        real = VirtualClock.wall_ms
        monkeypatch.setattr(VirtualClock, "wall_ms", lambda self: real(self) + 90_000)
        await trio.sleep(1)
        assert w.value("oris_runtime_clock_jumps_total") == 1
        assert [line["by_ms"] for line in w.lines.named("clock_jumped")] == [90_000]


async def test_outages_are_counted_by_cause_with_the_time_they_took(autojump_clock: MockClock) -> None:
    async with watched(monitor=True) as w:
        await w.world.submitted("known")
        w.world.store.before = lambda _: Unavailable("odd")
        with pytest.raises(Unavailable):
            await w.world.submit("a")
        await trio.sleep(20)
        w.world.store.before = lambda _: None
        await w.world.submitted("b")
        assert w.value("oris_runtime_outages_total", cause="trouble") == 1
        assert w.value("oris_runtime_outage_seconds_total", cause="trouble") == pytest.approx(20, abs=0.5)
        assert [line["cause"] for line in w.lines.named("outage_over")] == ["trouble"]


async def test_gauges_stay_as_they_were_while_the_store_is_away(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise Unavailable("planted")

    async with watched() as w:
        await w.world.submitted("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refresh_gauges, w.metrics, w.logs, w.world.store.reads, w.world.engine.clock, no_beat)
            await wait_all_tasks_blocked()
            monkeypatch.setattr(w.world.store.reads, "statistics", away)
            w.lines.dropped = 3
            await trio.sleep(2 * REFRESH_S + 0.1)
            assert w.value("oris_runtime_queue_depth") == 1
            assert w.value("oris_runtime_log_drops_total") == 3
            assert len(w.lines.named("statistics_unavailable")) == 2
            nursery.cancel_scope.cancel()
