from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oris.core import events as ev
from oris.core.model import RetryPolicy
from oris.core.retry import LONGEST_BACKOFF_MS, backoff_ms, band

from .world import World

FIXED = RetryPolicy("fixed", 1_000, 2)


def test_a_failure_without_a_policy_is_the_end() -> None:
    world = World()
    acked = world.acked(world.start("t"), "failed", body=b'{"type":"E","message":"m"}')
    assert (acked.status, acked.next_attempt_no, acked.next_retry_ms) == ("failed", 1, None)
    (dead,) = world.tables.dead_letters.values()
    assert (dead.reason, dead.attempt_no) == ("failed", 1)
    assert world.tables.payloads[dead.job_key, dead.error_seq] == b'{"type":"E","message":"m"}'


def test_a_fixed_policy_waits_its_backoff_each_time_and_ends_after_its_retries() -> None:
    world = World()
    job = world.start("t", retry=FIXED)
    for attempt_no in (2, 3):
        acked = world.acked(job, "failed")
        assert (acked.status, acked.next_attempt_no) == ("retry_scheduled", attempt_no)
        assert acked.next_retry_ms == world.now_ms + 1_000
        assert world.job("t").status == "retry_backoff"
        world.later(999)
        world.sweep("t")
        assert world.got("w1") == []
        world.later(1)
        world.sweep("t")
        job = world.grant("t")
        assert job.attempt_no == attempt_no
    assert world.acked(job, "failed").status == "failed"
    assert [dead.reason for dead in world.tables.dead_letters.values()] == ["retries_exhausted"]


def test_a_backoff_of_nothing_is_queued_in_the_same_commit() -> None:
    world = World()
    job = world.start("t", retry=RetryPolicy("fixed", 0, 1))
    assert world.acked(job, "failed").status == "retry_scheduled"
    assert world.events("t")[-2:] == ["retry_scheduled", "attempt_queued"]
    assert world.job("t").status == "queued"


def test_the_acks_policy_overrides_the_runs_for_this_decision() -> None:
    world = World()
    job = world.start("t", retry=FIXED)
    acked = world.acked(job, "failed", retry=RetryPolicy("fixed", 7_000, 1))
    assert acked.next_retry_ms == world.now_ms + 7_000
    world.later(7_000)
    world.sweep("t")
    assert world.acked(world.grant("t"), "failed").next_retry_ms == world.now_ms + 1_000


def test_the_acks_policy_may_end_it_and_retries_count_over_the_run() -> None:
    world = World()
    job = world.start("t", retry=RetryPolicy("fixed", 0, 9))
    world.acked(job, "failed")
    acked = world.acked(world.grant("t"), "failed", retry=RetryPolicy("fixed", 0, 1))
    assert acked.status == "failed"
    assert [dead.reason for dead in world.tables.dead_letters.values()] == ["retries_exhausted"]


def test_a_failure_that_is_not_retryable_is_the_end_and_no_exhaustion() -> None:
    world = World()
    job = world.start("t", retry=RetryPolicy("fixed", 0, 9))
    world.acked(job, "failed")
    assert world.acked(world.grant("t"), "failed", retryable=False).status == "failed"
    assert [dead.reason for dead in world.tables.dead_letters.values()] == ["failed"]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_only_failures_are_retried(status: str) -> None:
    world = World()
    assert world.acked(world.start("t", retry=FIXED), status).status == status


def test_a_run_that_finished_after_a_retry_has_no_error() -> None:
    world = World()
    world.acked(world.start("t", retry=RetryPolicy("fixed", 0, 1)), "failed", body=b'"why"')
    assert world.job("t").error_seq > 0
    world.acked(world.grant("t"), body=b"1")
    assert (world.job("t").error_seq, world.job("t").result_seq) == (0, world.job("t").seq)


def test_the_timeline_keeps_every_retry() -> None:
    world = World()
    world.acked(world.start("t", retry=FIXED), "failed", body=b'"why"')
    (scheduled,) = world.bodies("t", ev.RetryScheduled)
    said = (scheduled.retry_no, scheduled.strategy, scheduled.backoff_ms, scheduled.max_retries, scheduled.due_ms)
    assert said == (1, "fixed", 1_000, 2, world.now_ms + 1_000)
    assert world.tables.payloads[world.job("t").job_key, world.job("t").error_seq] == b'"why"'


def test_an_exponential_backoff_lies_in_the_band_and_is_spread() -> None:
    policy = RetryPolicy("exponential", 1_000, 9)
    waits = []
    for n in range(40):
        world = World()
        for _ in range(n):
            world.submit("noise", delay_ms=1)
        acked = world.acked(world.start("t", retry=policy), "failed")
        assert acked.next_retry_ms is not None
        waits.append(acked.next_retry_ms - world.now_ms)
    assert min(waits) >= 0
    assert max(waits) <= 1_000
    assert len(set(waits)) > 30
    assert min(waits) < 250 < 750 < max(waits)


@pytest.mark.parametrize(
    ("retry_no", "most"), [(1, 100), (2, 200), (3, 400), (5, 1_000), (64, 1_000), (5_000, 1_000), (100_000, 1_000)]
)
def test_an_exponential_band_doubles_up_to_its_cap(retry_no: int, most: int) -> None:
    assert band(RetryPolicy("exponential", 100, 9, max_backoff_ms=1_000), retry_no) == (0, most)


def test_an_uncapped_exponential_ends_at_thirty_days() -> None:
    assert band(RetryPolicy("exponential", 100, 9), 10_000) == (0, LONGEST_BACKOFF_MS)


def test_a_multiplier_of_one_does_not_grow() -> None:
    assert band(RetryPolicy("exponential", 100, 9, multiplier=1.0), 10_000) == (0, 100)


@settings(derandomize=True, max_examples=200)
@given(
    st.sampled_from(["fixed", "exponential"]),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 10**9),
    st.floats(1.0, 100.0),
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
)
def test_every_backoff_lies_in_its_policys_band(
    strategy: str, base_ms: int, cap_ms: int | None, multiplier: float, retry_no: int, fraction: float
) -> None:
    policy = RetryPolicy(strategy, base_ms, 9, cap_ms, multiplier)  # type: ignore[arg-type]
    least, most = band(policy, retry_no)
    assert least <= backoff_ms(policy, retry_no, fraction) <= most
    if cap_ms is not None:
        assert most <= cap_ms


def test_a_backoff_of_nothing_stays_nothing_however_often_it_is_multiplied() -> None:
    assert band(RetryPolicy("exponential", 0, 10_000), 5_000) == (0, 0)
