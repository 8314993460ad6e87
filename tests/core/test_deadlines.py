from __future__ import annotations

import pytest

from oris.core import events as ev
from oris.core.limits import Limits
from oris.core.model import RetryPolicy
from oris.core.replies import CancelledRun, Refusal, Submitted, Swept

from .world import World, reason, the


def test_an_expired_leases_ack_is_refused_before_the_sweeper_ran() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(1_000)
    refusal = the(Refusal, world.ack(job))
    assert refusal.details == {"reason": "lease_lost", "state": "expired"}
    assert (world.job("t").status, world.job("t").attempt_no) == ("queued", 2)


def test_a_lease_is_live_until_the_last_millisecond() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(999)
    assert world.acked(job).status == "completed"


def test_an_expired_leases_report_writes_nothing() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(1_000)
    assert reason(world.report(job, "a", checkpoint=b"{}")) == "lease_lost"
    assert "step_recorded" not in world.events("t")
    assert world.tables.steps == {}


def test_a_sweep_before_the_deadline_changes_nothing() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(999)
    assert the(Swept, world.sweep("t")).wake_ms == job.lease_expires_ms
    assert world.job("t") == job


def test_a_sweep_tells_the_next_deadline_after_what_it_did() -> None:
    world = World()
    world.start("t", ttl_ms=1_000)
    world.later(1_000)
    assert the(Swept, world.sweep("t")).wake_ms is None
    job = world.grant("t", ttl_ms=2_000)
    world.beat(job, 9_000)
    world.later(2_000)
    assert the(Swept, world.sweep("t")).wake_ms == job.lease_granted_ms + 9_000


def test_sweeping_an_unknown_thread_is_harmless() -> None:
    assert the(Swept, World().sweep("nobody")).wake_ms is None


def test_the_runs_own_limit_goes_before_expiry_at_a_tie() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000, timeout_ms=1_000)
    world.later(5_000)
    world.sweep("t")
    assert world.events("t")[-3:] == ["timed_out", "failed", "dead_lettered"]
    assert world.tables.closed[job.lease_id].state == "timed_out"  # type: ignore[index]


def test_an_earlier_expiry_goes_before_the_runs_own_limit() -> None:
    world = World()
    world.start("t", ttl_ms=1_000, timeout_ms=1_001)
    world.later(5_000)
    world.sweep("t")
    assert world.events("t")[-2:] == ["lease_expired", "attempt_queued"]


def test_time_after_an_expiry_that_was_swept_late_is_not_counted_as_used() -> None:
    world = World()
    world.start("t", ttl_ms=1_000, timeout_ms=3_000)
    world.later(50_000)
    world.sweep("t")
    assert world.job("t").used_ms == 1_000


def test_the_time_under_lease_is_summed_over_leases_and_nothing_else_counts() -> None:
    world = World()
    job = world.start("t", timeout_ms=3_000)
    world.later(1_000)
    world.released(job, delay_ms=60_000)
    world.later(60_000)
    world.sweep("t")
    world.later(100_000)
    job = world.grant("t")
    world.later(1_000)
    assert world.acked(job, "failed", retry=RetryPolicy("fixed", 5_000, 1)).status == "retry_scheduled"
    world.later(90_000)
    world.sweep("t")
    job = world.grant("t")
    assert job.wake_ms == world.now_ms + 1_000
    world.later(999)
    world.sweep("t")
    assert world.job("t").status == "running"
    world.later(1)
    world.sweep("t")
    assert (world.job("t").status, world.job("t").reason) == ("failed", "timed_out")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_run_out_of_time_ends_as_its_policy_says_and_is_not_retried(status: str) -> None:
    world = World()
    job = world.start("t", timeout_ms=500, on_timeout=status, retry=RetryPolicy("fixed", 0, 9))
    world.later(500)
    assert the(Refusal, world.ack(job, "failed")).details == {"reason": "lease_lost", "state": "timed_out"}
    assert (world.job("t").status, world.job("t").retries) == (status, 0)
    assert [dead.reason for dead in world.tables.dead_letters.values()] == ["timed_out"] * (status == "failed")


def test_a_due_retry_is_queued_before_a_cancel_ends_it() -> None:
    world = World()
    job = world.start("t", retry=RetryPolicy("fixed", 1_000, 1))
    world.acked(job, "failed")
    world.later(1_000)
    world.cancelled("t")
    assert world.events("t")[-3:] == ["attempt_queued", "cancel_requested", "cancelled"]


def test_a_retry_that_is_not_due_is_cancelled_without_being_queued() -> None:
    world = World()
    job = world.start("t", retry=RetryPolicy("fixed", 1_000, 1))
    world.acked(job, "failed")
    world.later(999)
    world.cancelled("t")
    assert world.events("t")[-3:] == ["retry_scheduled", "cancel_requested", "cancelled"]


def test_an_expiry_goes_before_a_cancel() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(1_000)
    the(CancelledRun, world.cancel("t"))
    assert world.tables.closed[job.lease_id].state == "expired"  # type: ignore[index]
    assert world.job("t").attempt_no == 2


def test_the_last_loss_goes_before_a_cancel() -> None:
    world = World(Limits(max_lease_losses=1))
    world.start("t", ttl_ms=1_000)
    world.later(1_000)
    assert reason(world.cancel("t")) == "run_terminal"


def test_a_run_out_of_time_leaves_its_thread_to_the_next_submit() -> None:
    world = World()
    first = world.start("t", timeout_ms=500)
    world.later(500)
    second = the(Submitted, world.submit("t"))
    assert second.run_id != first.run_id
    assert world.tables.past_runs[first.run_id].status == "failed"


def test_an_expired_lease_leaves_its_run_active() -> None:
    world = World()
    world.start("t", ttl_ms=500)
    world.later(500)
    assert reason(world.submit("t")) == "run_active"
    assert world.job("t").status == "queued"


def test_an_expiry_swept_late_is_told_with_its_own_time() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(7_000)
    world.sweep("t")
    (expired,) = world.bodies("t", ev.LeaseExpired)
    assert expired.expired_ms == job.lease_expires_ms == world.job("t").lost_ms
    assert world.grant("t").lost_ms == 0
