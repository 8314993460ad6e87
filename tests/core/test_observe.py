"""What events tell of a run's steps and leases."""

from __future__ import annotations

from oris.core.model import RetryPolicy
from oris.core.observe import Observed, observe

from .world import World


def seen(world: World, after_seq: int = 0) -> Observed:
    return observe(world.entries("t")[after_seq:])


def ends(found: Observed) -> list[tuple[int, str | None, str | None, int | None]]:
    """How each lease ended, and how long it was held."""
    return [
        (
            span.attempt_no,
            span.ended_by,
            span.cause,
            None if span.ended is None else span.ended.now_ms - span.granted.now_ms,
        )
        for span in found.leases
    ]


def test_every_way_a_lease_ends_is_told_with_its_time() -> None:
    world = World()
    world.submit("t", retry=RetryPolicy("fixed", 0, 3), timeout_ms=10_000)
    world.grant("t", ttl_ms=1000)
    world.later(1500)
    world.sweep("t")  # half a second late
    job = world.grant("t", "w2")
    world.later(200)
    world.released(job)
    job = world.grant("t", "w3")
    world.later(300)
    world.acked(job, "failed")
    world.sweep("t")
    world.grant("t", "w4")
    world.later(60_000)
    world.sweep("t")
    assert ends(seen(world)) == [
        (1, "lease_expired", "ttl", 1000),
        (2, "lease_released", None, 200),
        (2, "retry_scheduled", None, 300),
        (3, "timed_out", None, 8500),
    ]
    assert [span.worker_id for span in seen(world).leases] == ["w1", "w2", "w3", "w4"]
    fences = [span.fence for span in seen(world).leases]
    assert fences == sorted(set(fences))


def test_a_live_lease_has_no_end_and_a_cancelled_one_has() -> None:
    world = World()
    world.start("t")
    assert ends(seen(world)) == [(1, None, None, None)]
    world.later(5)
    world.cancelled("t")
    assert ends(seen(world)) == [(1, "cancelled", None, 5)]


def test_a_run_cancelled_in_the_queue_had_no_lease() -> None:
    world = World()
    world.submit("t")
    world.cancelled("t")
    assert seen(world) == Observed([], [])


def test_each_try_of_a_step_is_told_with_its_start_and_its_end() -> None:
    world = World()
    job = world.start("t")
    for action, status in (("a", "started"), ("b", "started"), ("a", "failed"), ("a", "started"), ("a", "succeeded")):
        world.later(10)
        world.reported(job, action, status, token=f"{world.now_ms}")  # type: ignore[arg-type]
    world.reported(job, "c")
    tries = [
        (span.action_id, span.status, span.ended and span.started and span.ended.now_ms - span.started.now_ms)
        for span in seen(world).steps
    ]
    assert tries == [("a", "failed", 20), ("b", "started", None), ("a", "succeeded", 10), ("c", "succeeded", None)]
    assert seen(world).steps[-1].started is None


def test_what_began_before_the_first_event_is_told_without_its_beginning() -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", "started", token="1")
    world.reported(job, "a", token="2")
    world.acked(job)
    found = seen(world, after_seq=4)
    assert [(span.started, span.status) for span in found.steps] == [(None, "succeeded")]
    assert found.leases == []
