from __future__ import annotations

from oris.core.replies import Beaten, Refusal
from oris.errors import ErrorCode

from .world import World, heartbeat, reason, the


def state(world: World, job: object, **said: object) -> str:
    """What a heartbeat in a list says of a lease."""
    return the(Beaten, world.beat(job, single=False, **said)).state  # type: ignore[arg-type]


def test_a_live_lease_is_renewed() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(999)
    beaten = the(Beaten, world.beat(job, 5_000))
    assert (beaten.state, beaten.expires_ms) == ("held", world.now_ms + 5_000)
    assert world.job("t").lease_expires_ms == beaten.expires_ms


def test_a_heartbeat_never_moves_expiry_back() -> None:
    world = World()
    job = world.start("t", ttl_ms=30_000)
    assert the(Beaten, world.beat(job, 1_000)).expires_ms == job.lease_expires_ms
    world.now_ms -= 10_000
    assert the(Beaten, world.beat(job, 30_000)).expires_ms == job.lease_expires_ms


def test_an_expired_lease_cannot_be_renewed_before_the_sweeper_ran() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(1_000)
    refusal = the(Refusal, world.beat(job))
    assert (reason(refusal), refusal.details) == ("lease_lost", {"reason": "lease_lost", "state": "expired"})
    assert world.job("t").status == "queued"


def test_a_clock_set_back_does_not_revive_a_swept_lease() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(1_000)
    world.sweep("t")
    world.later(-900)
    assert reason(world.beat(job)) == "lease_lost"


def test_an_expired_lease_cannot_be_renewed_in_a_list() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(1_000)
    assert state(world, job) == "lost"
    assert world.events("t")[-2:] == ["lease_expired", "attempt_queued"]


def test_a_heartbeat_writes_no_event() -> None:
    world = World()
    job = world.start("t")
    seq = job.seq
    world.later(5_000)
    world.beat(job)
    assert world.job("t").seq == seq


def test_a_heartbeat_leaves_the_wake_up_time_where_the_index_has_it() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(500)
    world.beat(job, 1_000)
    assert world.job("t").wake_ms == job.wake_ms
    world.later(500)
    world.sweep("t")
    assert world.job("t").wake_ms == world.job("t").lease_expires_ms


def test_another_workers_lease_is_named_as_such() -> None:
    world = World()
    job = world.start("t", "w1")
    refusal = the(Refusal, world.beat(job, worker="w2"))
    assert refusal.code is ErrorCode.CONFLICT
    assert refusal.details == {
        "reason": "lease_owner_mismatch",
        "expected_worker_id": "w1",
        "actual_worker_id": "w2",
    }
    assert state(world, job, worker="w2") == "lost"


def test_another_workers_ended_lease_is_named_as_such_too() -> None:
    world = World()
    job = world.start("t", "w1")
    world.acked(job)
    assert reason(world.beat(job, worker="w2")) == "lease_owner_mismatch"


def test_another_workers_ended_lease_is_lost_in_a_list_and_tells_nothing_of_its_end() -> None:
    world = World()
    job = world.start("t", "w1")
    world.cancelled("t")
    assert state(world, job, worker="w2") == "lost"


def test_an_unknown_lease_is_not_found() -> None:
    world = World()
    job = world.start("t")
    for lease in ("nonsense", "lse_" + "0" * 52, job.lease_id[:-1] + ("0" if job.lease_id[-1] != "0" else "1")):  # type: ignore[index]
        command = heartbeat(job)
        single = type(command)(command.worker_key, lease, 1_000, True)  # type: ignore[arg-type]
        assert the(Refusal, world.ask(single)).code is ErrorCode.NOT_FOUND
        listed = type(command)(command.worker_key, lease, 1_000, False)  # type: ignore[arg-type]
        assert the(Beaten, world.ask(listed)).state == "lost"


def test_the_state_tells_how_a_lease_was_lost() -> None:
    world = World()
    cancelled = world.start("cancelled")
    world.cancelled("cancelled")
    assert state(world, cancelled) == "cancelled"
    timed_out = world.start("timed_out", timeout_ms=100)
    world.later(100)
    assert state(world, timed_out) == "timed_out"
    released = world.start("released")
    world.released(released)
    assert state(world, released) == "lost"


def test_a_heartbeat_does_not_outrun_the_runs_own_limit() -> None:
    world = World()
    job = world.start("t", timeout_ms=5_000)
    world.later(4_999)
    the(Beaten, world.beat(job, 60_000))
    world.later(1)
    refusal = the(Refusal, world.beat(job, 60_000))
    assert refusal.details == {"reason": "lease_lost", "state": "timed_out"}


def test_a_cancelled_runs_single_heartbeat_is_refused_with_its_state() -> None:
    world = World()
    job = world.start("t")
    world.cancelled("t")
    assert the(Refusal, world.beat(job)).details == {"reason": "lease_lost", "state": "cancelled"}
