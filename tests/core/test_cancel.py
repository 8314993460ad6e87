from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.limits import Limits
from oris.core.model import RetryPolicy
from oris.core.replies import Beaten, CancelledRun, Refusal, Submitted
from oris.errors import ErrorCode
from oris.ids import RunId

from .world import World, key, reason, submit, the, want


def test_queued_work_never_starts() -> None:
    world = World()
    world.submit("t")
    reply = the(CancelledRun, world.cancel("t", "changed my mind"))
    assert (reply.status, reply.reason) == ("cancelled", "changed my mind")
    assert world.got("w1") == []


def test_scheduled_work_never_becomes_due() -> None:
    world = World()
    world.submit("t", delay_ms=1_000)
    world.cancelled("t")
    world.later(1_000)
    world.sweep("t")
    assert world.job("t").status == "cancelled"


def test_a_running_run_loses_its_lease_and_whatever_its_worker_writes_is_refused() -> None:
    world = World()
    job = world.start("t")
    world.cancelled("t")
    seq = world.job("t").seq
    for reply in (world.ack(job), world.report(job, "a"), world.release(job), world.beat(job)):
        assert the(Refusal, reply).details == {"reason": "lease_lost", "state": "cancelled"}
    assert the(Beaten, world.beat(job, single=False)).state == "cancelled"
    assert world.job("t").seq == seq


def test_a_run_that_backs_off_is_not_retried() -> None:
    world = World()
    world.acked(world.start("t", retry=RetryPolicy("fixed", 1_000, 5)), "failed")
    world.cancelled("t")
    world.later(1_000)
    world.sweep("t")
    assert world.job("t").status == "cancelled"


def test_repeating_it_is_harmless_and_answers_the_same() -> None:
    world = World()
    world.submit("t")
    first = the(CancelledRun, world.cancel("t", "first"))
    seq = world.job("t").seq
    world.later(10)
    assert world.cancel("t", "second") == first
    assert world.job("t").seq == seq


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_finished_run_cannot_be_cancelled(status: str) -> None:
    world = World()
    world.acked(world.start("t"), status)
    assert reason(world.cancel("t")) == "run_terminal"
    assert world.job("t").status == status


def test_an_unknown_thread_is_not_found() -> None:
    assert the(Refusal, World().cancel("nobody")).code is ErrorCode.NOT_FOUND


def test_another_run_than_the_one_meant_is_left_alone() -> None:
    world = World()
    old = world.start("t")
    world.acked(old)
    new = the(Submitted, world.submit("t"))
    refusal = the(Refusal, world.cancel("t", run=old.run_id))
    assert refusal.details == {"reason": "run_mismatch", "run_id": new.run_id}
    assert world.job("t").status == "queued"
    the(CancelledRun, world.cancel("t", run=RunId(new.run_id)))


def test_a_cancelled_thread_takes_a_new_run() -> None:
    world = World()
    world.submit("t")
    world.cancelled("t")
    assert the(Submitted, world.submit("t")).status == "queued"
    assert world.got("w1") == ["t"]


def test_a_stored_head_cancelled_in_the_same_batch_is_not_dispatched() -> None:
    world = World()
    world.batch([submit("a"), submit("b")])
    world.batch([c.Cancel(key("a"), None)], [want("w1", 5)])
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["b"]


def test_a_job_submitted_and_cancelled_in_one_batch_is_not_dispatched() -> None:
    world = World()
    world.batch([submit("a"), c.Cancel(key("a"), None)], [want("w1", 5)])
    assert world.last.granted[0].jobs == ()
    assert world.job("a").status == "cancelled"


def test_a_run_cancelled_and_made_anew_in_one_batch_is_dispatched_once() -> None:
    world = World()
    world.submit("a")
    world.batch([c.Cancel(key("a"), None), submit("a", workflow="other")], [want("w1", 5)])
    (job,) = world.last.granted[0].jobs
    assert (job.workflow, len(world.tables.past_runs)) == ("other", 1)


def test_cancelled_work_makes_room_in_the_queue() -> None:
    world = World(Limits(queue_max=1))
    world.submit("a")
    assert reason(world.submit("b")) == "queue_full"
    world.cancelled("a")
    the(Submitted, world.submit("b"))
