from __future__ import annotations

import pytest
from msgspec.structs import replace

from oris.core.limits import Limits
from oris.core.model import RetryPolicy, stored_policy
from oris.core.replies import Refusal, Submitted
from oris.errors import ErrorCode
from oris.ids import attempt_of

from .world import World, reason, submit, the, worker_key

DRAINING = Refusal(ErrorCode.UNAVAILABLE, "draining", {"reason": "draining"}, retry_after_s=1)


def test_a_submit_makes_a_queued_run() -> None:
    world = World()
    made = the(Submitted, world.submit("t"))
    assert (made.status, made.replay, made.seq) == ("queued", False, 2)
    assert world.events("t") == ["run_created", "attempt_queued"]


def test_everything_said_is_kept() -> None:
    world = World()
    policy = RetryPolicy("exponential", 5, 3, 50, 1.5)
    world.submit(
        "t", priority=7, retry=policy, metadata=b'{"a": "b"}', timeout_ms=9, on_timeout="cancelled", input=b"[1]"
    )
    row = world.job("t")
    assert stored_policy(row.retry_policy) == policy
    assert (row.priority, row.metadata, row.timeout_ms, row.on_timeout) == (7, b'{"a": "b"}', 9, "cancelled")
    assert world.tables.payloads[row.job_key, row.input_seq] == b"[1]"


def test_a_run_without_input_has_no_payload() -> None:
    world = World()
    world.submit("t", input=None)
    assert (world.job("t").input_seq, world.tables.payloads) == (0, {})


def test_a_thread_has_one_active_run() -> None:
    world = World()
    made = the(Submitted, world.submit("t"))
    refusal = the(Refusal, world.submit("t"))
    assert refusal.details == {"reason": "run_active", "run_id": made.run_id}


def test_threads_of_different_tenants_are_different_threads() -> None:
    world = World()
    the(Submitted, world.submit("t", tenant="a"))
    the(Submitted, world.submit("t", tenant="b"))
    assert len(world.tables.jobs) == 2


def test_two_submits_of_one_thread_in_one_batch_make_one_run() -> None:
    world = World()
    first, second = world.batch([submit("t"), submit("t")])
    assert reason(second) == "run_active"
    assert world.job("t").run_id == the(Submitted, first).run_id


def test_a_finished_thread_goes_on_with_its_timeline_and_fence() -> None:
    world = World()
    first = world.start("t")
    world.acked(first)
    second = world.start("t")
    assert second.run_id > first.run_id
    assert second.fence > first.fence
    assert (second.attempt_no, second.retries, second.used_ms, second.result_seq) == (1, 0, 0, 0)
    assert world.tables.past_runs[first.run_id].status == "completed"


def test_a_lease_of_the_run_before_means_nothing_to_the_next() -> None:
    world = World()
    first = world.start("t")
    world.cancelled("t")
    second = world.start("t")
    assert reason(world.ack(first)) == "lease_lost"
    assert (world.job("t").lease_id, world.job("t").worker_key) == (second.lease_id, worker_key("w1"))


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    world = World(Limits(queue_max=2))
    world.batch([submit("a"), submit("b")])
    refusal = the(Refusal, world.submit("c"))
    assert (refusal.code, reason(refusal), refusal.retry_after_s) == (ErrorCode.BACKPRESSURE, "queue_full", 1)
    world.got("w1")
    the(Submitted, world.submit("c"))


def test_a_full_tenant_refuses_its_own_only() -> None:
    world = World(Limits(tenant_queue_max=1))
    world.submit("a", tenant="x")
    assert reason(world.submit("b", tenant="x")) == "tenant_queue_full"
    the(Submitted, world.submit("b", tenant="y"))


def test_the_limit_holds_within_one_batch() -> None:
    world = World(Limits(queue_max=2))
    replies = world.batch([submit(thread) for thread in "abcd"])
    assert [type(reply) for reply in replies] == [Submitted, Submitted, Refusal, Refusal]


def test_admission_refuses_new_runs_and_nothing_else() -> None:
    world = World()
    job = world.start("t")
    world.admission = DRAINING
    assert world.submit("new") == DRAINING
    assert world.acked(job).status == "completed"


def test_the_same_key_names_the_same_run() -> None:
    world = World()
    first = the(Submitted, world.submit("t", idempotency_key="k"))
    again = the(Submitted, world.submit("t", idempotency_key="k"))
    assert again == replace(first, replay=True)
    assert world.events("t") == ["run_created", "attempt_queued"]


def test_two_hundred_equal_submits_in_one_batch_make_one_run() -> None:
    world = World()
    replies = world.batch([submit("t", idempotency_key="k") for _ in range(200)])
    assert {the(Submitted, reply).run_id for reply in replies} == {world.job("t").run_id}
    assert [the(Submitted, reply).replay for reply in replies] == [False] + [True] * 199


@pytest.mark.parametrize("other", [{"input": b"2"}, {"priority": 1}, {"workflow": "x"}, {"delay_ms": 1}])
def test_the_same_key_with_another_request_is_refused(other: dict[str, object]) -> None:
    world = World()
    first = the(Submitted, world.submit("t", idempotency_key="k"))
    refusal = the(Refusal, world.submit("t", idempotency_key="k", **other))
    assert refusal.details == {"reason": "idempotency_mismatch", "run_id": first.run_id}


def test_the_same_key_on_another_thread_is_refused() -> None:
    world = World()
    world.submit("t", idempotency_key="k")
    assert reason(world.submit("u", idempotency_key="k")) == "idempotency_mismatch"
    assert len(world.tables.jobs) == 1


def test_the_same_key_of_another_tenant_is_another_key() -> None:
    world = World()
    world.submit("t", tenant="a", idempotency_key="k")
    assert the(Submitted, world.submit("t", tenant="b", idempotency_key="k")).replay is False


def test_a_replay_tells_how_the_run_stands_now() -> None:
    world = World()
    job = world.start("t", idempotency_key="k")
    assert the(Submitted, world.submit("t", idempotency_key="k")).status == "running"
    world.acked(job)
    again = the(Submitted, world.submit("t", idempotency_key="k"))
    assert (again.status, again.run_id, again.replay) == ("completed", job.run_id, True)


def test_a_replay_after_a_newer_run_names_the_old_one() -> None:
    world = World()
    old = world.start("t", idempotency_key="k")
    world.acked(old)
    new = the(Submitted, world.submit("t", idempotency_key="other"))
    again = the(Submitted, world.submit("t", idempotency_key="k"))
    assert (again.run_id, again.status, again.replay) == (old.run_id, None, True)
    assert attempt_of(again.run_id) != attempt_of(new.run_id)


def test_a_key_is_looked_up_before_everything_that_could_refuse() -> None:
    world = World(Limits(queue_max=1, tenant_queue_max=1))
    first = the(Submitted, world.submit("t", idempotency_key="k"))
    world.admission = DRAINING
    again = the(Submitted, world.submit("t", idempotency_key="k"))
    assert (again.run_id, again.replay) == (first.run_id, True)


@pytest.mark.parametrize("refused_by", ["admission", "queue", "run_active"])
def test_a_refused_submit_binds_no_key(refused_by: str) -> None:
    world = World(Limits(queue_max=1 if refused_by == "queue" else 100))
    world.admission = DRAINING if refused_by == "admission" else None
    if refused_by != "admission":
        world.submit("t" if refused_by == "run_active" else "other")
    the(Refusal, world.submit("t", idempotency_key="k"))
    assert world.tables.idempotent == {}


def test_deadlines_are_applied_before_a_replay_is_answered() -> None:
    world = World()
    world.start("t", idempotency_key="k", timeout_ms=500)
    world.later(500)
    assert the(Submitted, world.submit("t", idempotency_key="k", timeout_ms=500)).status == "failed"


def test_jobs_for_next_year_close_the_door_to_nobody() -> None:
    world = World(Limits(queue_max=2, tenant_queue_max=2, delayed_max=9, tenant_delayed_max=9))
    for thread in "abcde":
        the(Submitted, world.submit(thread, delay_ms=300 * 86_400_000))
    world.batch([submit("f"), submit("g")])
    assert reason(world.submit("h")) == "queue_full"
    world.got("w1")
    the(Submitted, world.submit("h"))


def test_jobs_that_wait_for_their_time_have_limits_of_their_own() -> None:
    world = World(Limits(delayed_max=3, tenant_delayed_max=2))
    world.batch([submit(thread, tenant="x", delay_ms=5_000) for thread in "ab"])
    assert reason(world.submit("c", tenant="x", delay_ms=5_000)) == "tenant_queue_full"
    the(Submitted, world.submit("c", tenant="y", run_at_ms=world.now_ms + 1))
    refusal = the(Refusal, world.submit("d", tenant="z", delay_ms=5_000))
    assert (refusal.message, reason(refusal)) == ("too many delayed jobs are waiting; try again later", "queue_full")
    the(Submitted, world.submit("d", tenant="x"))
    the(Submitted, world.submit("e", tenant="x", delay_ms=0))
    the(Submitted, world.submit("f", tenant="x", run_at_ms=world.now_ms))


def test_what_becomes_due_is_queued_however_full_the_queue_is() -> None:
    world = World(Limits(queue_max=1, tenant_queue_max=1))
    world.batch([submit(thread, delay_ms=1_000) for thread in "abc"] + [submit("now")])
    world.later(1_000)
    for thread in "abc":
        world.sweep(thread)
    assert (world.depth(), world.delayed()) == (4, 0)
    assert reason(world.submit("d")) == "queue_full"
    assert sorted(world.got("w1", 9)) == ["a", "b", "c", "now"]


def test_short_delays_are_no_way_around_the_limit() -> None:
    world = World(Limits(queue_max=2, tenant_queue_max=2, delayed_max=3, tenant_delayed_max=3))
    accepted = 0
    for number in range(20):
        accepted += isinstance(world.submit(f"t{number}", delay_ms=1), Submitted)
        world.later(1)
        world.sweep(f"t{number}")
    assert accepted == 5


def test_a_retry_counts_to_what_is_delayed_and_is_never_refused() -> None:
    world = World(Limits(queue_max=1, delayed_max=1, tenant_delayed_max=1))
    job = world.start("a", retry=RetryPolicy("fixed", 1_000, 3))
    the(Submitted, world.submit("b", delay_ms=9_000))
    assert world.acked(job, "failed").status == "retry_scheduled"
    assert (world.depth(), world.delayed()) == (0, 2)
    the(Submitted, world.submit("c"))
    assert reason(world.submit("d", delay_ms=9_000)) == "queue_full"
