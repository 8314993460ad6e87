from __future__ import annotations

import pytest

from oris.core.model import RetryPolicy
from oris.core.replies import Acked, Refusal
from oris.errors import ErrorCode

from .world import World, ack, reason, the


def test_a_completed_run_keeps_its_result() -> None:
    world = World()
    job = world.start("t")
    assert world.acked(job, body=b'{"ok":true}').status == "completed"
    row = world.job("t")
    assert (row.status, row.lease_id, row.worker_key, row.wake_ms) == ("completed", None, None, None)
    assert world.tables.payloads[row.job_key, row.result_seq] == b'{"ok":true}'
    assert world.tables.dead_letters == {}


def test_a_run_cancelled_by_its_worker_keeps_what_it_sent() -> None:
    world = World()
    world.acked(world.start("t"), "cancelled", body=b"1")
    row = world.job("t")
    assert (row.status, row.reason) == ("cancelled", "by_worker")
    assert world.tables.payloads[row.job_key, row.result_seq] == b"1"


def test_a_repeated_ack_gets_the_first_answer_whatever_has_happened_since() -> None:
    world = World()
    job = world.start("t", retry=RetryPolicy("exponential", 10_000, 5))
    first = world.acked(job, "failed", body=b'"e"')
    assert world.acked(job, "failed", body=b'"e"') == first
    world.later(10_000)
    world.sweep("t")
    second = world.grant("t", "w2")
    assert world.acked(job, "failed", body=b'"e"') == first
    world.acked(second)
    assert world.acked(job, "failed", body=b'"e"') == first
    world.submit("t")
    assert world.acked(job, "failed", body=b'"e"') == first
    assert world.job("t").status == "queued"


def test_a_repeated_ack_in_the_same_batch_gets_the_first_answer() -> None:
    world = World()
    job = world.start("t")
    first, second = world.batch([ack(job), ack(job)])
    assert the(Acked, first) == second
    assert world.events("t").count("completed") == 1


@pytest.mark.parametrize(
    "other",
    [
        {"status": "failed"},
        {"body": b"2"},
        {"body": None},
        {"retryable": False},
        {"retry": RetryPolicy("fixed", 1, 1)},
        {"attempt_id": "att_" + "0" * 32},
    ],
)
def test_a_different_ack_of_a_closed_lease_is_refused(other: dict[str, object]) -> None:
    world = World()
    job = world.start("t")
    world.ask(ack(job, "completed", body=b"1"))
    said = {"status": "completed", "body": b"1", **other}
    refusal = the(Refusal, world.ask(ack(job, **said)))  # type: ignore[arg-type]
    assert refusal.details == {"reason": "lease_lost", "state": "closed"}


def test_two_different_acks_in_one_batch_first_one_wins() -> None:
    world = World()
    job = world.start("t")
    first, second = world.batch([ack(job, "completed"), ack(job, "failed")])
    assert the(Acked, first).status == "completed"
    assert reason(second) == "lease_lost"


def test_another_workers_ack_is_refused_and_told_nothing() -> None:
    world = World()
    job = world.start("t", "w1")
    assert the(Refusal, world.ack(job, worker="w2")).details == {"reason": "lease_lost"}
    world.acked(job)
    assert the(Refusal, world.ack(job, worker="w2")).details == {"reason": "lease_lost"}


def test_another_attempts_id_is_a_bad_argument_and_closes_nothing() -> None:
    world = World()
    job = world.start("t")
    refusal = the(Refusal, world.ack(job, attempt_id="att_" + "0" * 32))
    assert (refusal.code, world.job("t").status) == (ErrorCode.INVALID_ARGUMENT, "running")


def test_an_ack_of_a_lease_that_never_was_is_refused() -> None:
    world = World()
    job = world.start("t")
    other = World()
    assert the(Refusal, other.ack(job)).details == {"reason": "lease_lost"}
    assert other.tables.jobs == {}


def test_a_released_lease_cannot_be_acked() -> None:
    world = World()
    job = world.start("t")
    world.released(job)
    assert the(Refusal, world.ack(job)).details == {"reason": "lease_lost", "state": "released"}


def test_the_worker_that_holds_the_run_now_is_not_hurt_by_the_one_before() -> None:
    world = World()
    old = world.start("t", "w1", ttl_ms=1_000)
    world.later(1_000)
    world.sweep("t")
    new = world.grant("t", "w1")
    assert reason(world.ack(old)) == "lease_lost"
    assert world.acked(new).status == "completed"
