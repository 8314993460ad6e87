"""Waits: one mechanism for time and for people; each settles once, and what is left over is dropped with it."""

from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core import events as ev
from oris.core.changes import handed_wait_bytes
from oris.core.model import Job, RetryPolicy
from oris.core.replies import Refusal, Settled, Suspended

from .world import World, asking, key, reason, the, timer


def held(world: World, **said: object) -> Job:
    return world.start("a", **said)  # type: ignore[arg-type]


def statuses(world: World) -> dict[str, str]:
    return {wait.key: wait.status for wait in world.tables.waits.values()}


def test_a_suspended_run_holds_no_worker_and_keeps_its_attempt() -> None:
    world = World()
    job = held(world)
    world.later(700)
    told = world.suspended(job, asking(), checkpoint=b'{"at":1}')
    assert (told.status, [wait.status for wait in told.waits]) == ("interrupted", ["pending"])
    row = world.job("a")
    assert (row.status, row.lease_id, row.attempt_no, row.used_ms) == ("interrupted", None, 1, 700)
    assert (row.waits_open, row.interrupts_open, row.wake_ms) == (1, 1, None)
    assert world.worker("w1").leased == 0
    assert world.events("a")[-2:] == ["checkpoint_saved", "suspended"]
    assert world.got("w1") == []


def test_an_answer_queues_it_at_once_with_the_same_attempt_no() -> None:
    world = World()
    world.suspended(held(world), asking())
    settled = the(Settled, world.answer(world.wait("q").wait_id)).wait
    assert (settled.status, settled.settled_by, settled.settled_ms) == ("resumed", "ann", world.now_ms)
    assert world.events("a")[-3:] == ["wait_settled", "resumed", "attempt_queued"]
    job = world.grant("a")
    assert (job.attempt_no, job.waits_open, job.wait_mode) == (1, 0, None)
    assert world.tables.payloads[key("a"), settled.settled_seq] == b'"yes"'


def test_a_timer_goes_on_when_its_time_has_come_and_not_before() -> None:
    world = World()
    assert world.suspended(held(world), timer(after_ms=5_000)).status == "suspended"
    assert (world.job("a").due_ms, world.job("a").wake_ms) == (world.now_ms + 5_000, None)
    world.later(4_999)
    world.sweep("a")
    assert world.job("a").status == "suspended"
    world.later(1)
    world.sweep("a")
    assert (world.job("a").status, statuses(world)) == ("queued", {"t": "resumed"})


def test_a_time_that_has_passed_comes_at_once() -> None:
    world = World()
    world.suspended(held(world), c.WaitSpec("time", "t", at_ms=world.now_ms - 5))
    world.later(1)
    world.sweep("a")
    assert world.job("a").status == "queued"


def test_all_waits_for_all_and_any_for_the_first() -> None:
    for mode, first, second in (("all", "interrupted", "queued"), ("any", "queued", "queued")):
        world = World()
        world.suspended(held(world), asking("q1"), asking("q2"), mode=mode)
        world.answer(world.wait("q1").wait_id)
        assert world.job("a").status == first
        if mode == "all":
            world.answer(world.wait("q2").wait_id)
        assert world.job("a").status == second
        assert statuses(world) == {"q1": "resumed", "q2": "resumed" if mode == "all" else "dropped"}


def test_people_and_time_together_show_as_interrupted_until_only_time_is_left() -> None:
    world = World()
    world.suspended(held(world), asking(), timer())
    assert world.job("a").status == "interrupted"
    world.answer(world.wait("q").wait_id)
    assert (world.job("a").status, world.job("a").interrupts_open) == ("suspended", 0)


def test_the_identical_answer_again_is_answered_the_same_whatever_has_happened_since() -> None:
    world = World()
    world.suspended(held(world), asking())
    wait_id = world.wait("q").wait_id
    first = the(Settled, world.answer(wait_id))
    world.acked(world.grant("a"))
    world.submit("a")
    world.later(99)
    assert the(Settled, world.answer(wait_id, by="bob")) == first
    assert reason(world.answer(wait_id, b'"no"')) == "resume_mismatch"
    assert reason(world.reject(wait_id)) == "interrupt_settled"


def test_a_rejected_run_is_cancelled_unless_its_worker_wants_to_know() -> None:
    for on_reject, status in (("cancel", "cancelled"), ("resume", "queued")):
        world = World()
        world.suspended(held(world), asking("q", on_reject=on_reject), timer())
        if on_reject == "resume":
            world.later(60_000)
            world.sweep("a")
        first = the(Settled, world.reject(world.wait("q").wait_id, "too dear"))
        assert (first.wait.status, world.job("a").status) == ("rejected", status)
        assert the(Settled, world.reject(world.wait("q").wait_id, "too dear")) == first
        assert reason(world.reject(world.wait("q").wait_id, "other")) == "interrupt_settled"
        assert reason(world.answer(world.wait("q").wait_id)) == "interrupt_settled"
    assert "rejected" in world.events("a")


@pytest.mark.parametrize(("on_expire", "status"), [("cancel", "cancelled"), ("fail", "failed"), ("resume", "queued")])
def test_an_interrupt_that_nobody_answers_ends_as_its_worker_has_said(on_expire: str, status: str) -> None:
    world = World()
    world.suspended(held(world), asking("q", after_ms=1_000, on_expire=on_expire, expire_value=b"7"), asking("other"))
    if on_expire == "resume":
        world.answer(world.wait("other").wait_id)
    world.later(1_000)
    assert reason(world.answer(world.wait("q").wait_id)) == "interrupt_settled", "expiry goes first"
    assert (world.job("a").status, world.wait("q").status) == (status, "expired")
    if on_expire != "resume":
        assert (world.wait("other").status, world.job("a").reason) == ("dropped", "interrupt_expired")
    assert len(world.tables.dead_letters) == (on_expire == "fail")


def test_a_key_raised_again_is_the_wait_it_was_with_its_value() -> None:
    world = World()
    world.suspended(held(world), asking("q1"), asking("q2"))
    world.answer(world.wait("q1").wait_id, b"42")
    world.answer(world.wait("q2").wait_id, b"43")
    again = world.suspended(world.grant("a"), asking("q1", value=b'"otherwise"'), asking("q3"))
    assert [(wait.key, wait.status) for wait in again.waits] == [("q1", "resumed"), ("q3", "pending")]
    assert again.waits[0].wait_id == world.wait("q1").wait_id
    assert again.waits[0].settled_seq == world.wait("q1").settled_seq
    assert world.job("a").waits_open == 1
    assert len(world.tables.waits) == 3


def test_nothing_left_to_wait_for_is_queued_at_once() -> None:
    world = World()
    world.suspended(held(world), asking())
    world.answer(world.wait("q").wait_id)
    assert world.suspended(world.grant("a"), asking()).status == "queued"
    assert world.suspended(world.grant("a"), asking(), asking("new"), mode="any").status == "queued"
    assert world.wait("new").status == "dropped"
    assert world.grant("a").attempt_no == 1


def test_a_key_of_another_kind_is_refused_and_nothing_is_written() -> None:
    world = World()
    world.suspended(held(world), timer("k", after_ms=10))
    world.later(10)
    world.sweep("a")
    job = world.grant("a")
    before = world.job("a")
    assert reason(world.suspend(job, asking("k"), checkpoint=b"{}")) == "wait_kind_mismatch"
    assert world.job("a") == before


def test_a_suspend_repeated_word_for_word_gets_its_first_answer() -> None:
    world = World()
    job = held(world)
    first = world.suspended(job, asking(), timer())
    world.answer(world.wait("q").wait_id)
    world.later(60_000)
    world.acked(world.poll("w2").jobs[0] if world.sweep("a") else job)
    assert the(Suspended, world.suspend(job, asking(), timer())) == first
    assert reason(world.suspend(job, asking("other"))) == "lease_lost"


def test_a_suspend_needs_the_live_lease_and_its_own_attempt() -> None:
    world = World()
    job = held(world, ttl_ms=1_000)
    world.later(1_000)
    assert reason(world.suspend(job, asking())) == "lease_lost"
    job = world.grant("a")
    assert job.lease_id is not None
    assert job.worker_key is not None
    other = c.Suspend(job.worker_key, "att_" + "0" * 32, job.lease_id, (asking(),), "all")  # type: ignore[arg-type]
    assert the(Refusal, world.ask(other)).code == "invalid_argument"


def test_a_cancelled_run_waits_for_nothing_any_more() -> None:
    world = World()
    world.suspended(held(world), asking(), timer())
    world.cancelled("a")
    assert (world.job("a").status, statuses(world)) == ("cancelled", {"q": "dropped", "t": "dropped"})
    assert (world.job("a").waits_open, world.job("a").wake_ms) == (0, None)
    assert reason(world.answer(world.wait("q").wait_id)) == "interrupt_settled"


def test_a_suspension_is_no_loss_and_resets_them() -> None:
    world = World()
    held(world, ttl_ms=1_000)
    world.later(1_000)
    world.sweep("a")
    world.suspended(world.grant("a"), timer())
    assert (world.job("a").losses, world.worker("w1").incidents) == (0, 0)


def test_time_spent_waiting_does_not_count_against_the_runs_limit() -> None:
    world = World()
    world.submit("a", timeout_ms=1_000)
    world.suspended(world.grant("a"), timer(after_ms=50_000))
    world.later(50_000)
    world.sweep("a")
    job = world.grant("a")
    world.later(999)
    assert world.acked(job).status == "completed"


def test_a_thread_is_answered_when_its_run_waits_for_one_answer_alone() -> None:
    world = World()
    assert the(Refusal, world.ask(c.ResumeThread(key("a"), b"1", "ann"))).code == "not_found"
    job = held(world)
    assert reason(world.ask(c.ResumeThread(key("a"), b"1", "ann"))) == "nothing_pending"
    world.suspended(job, asking("q1"), asking("q2"))
    several = world.ask(c.ResumeThread(key("a"), b"1", "ann"))
    assert reason(several) == "several_pending"
    assert (the(Refusal, several).details or {})["interrupt_ids"] == [w.wait_id for w in world.tables.waits.values()]
    world.answer(world.wait("q1").wait_id)
    last = the(Settled, world.ask(c.ResumeThread(key("a"), b"1", "ann")))
    assert (last.wait.key, world.job("a").status) == ("q2", "queued")
    assert the(Settled, world.ask(c.ResumeThread(key("a"), b"1", "bob"))) == last
    assert reason(world.ask(c.ResumeThread(key("a"), b"2", "ann"))) == "resume_mismatch"


def test_an_answer_that_names_its_question_is_never_taken_for_one_to_the_next() -> None:
    world = World()
    world.suspended(held(world), asking("test"))
    answer = c.ResumeThread(key("a"), b"1", "ann", key="test")
    told = the(Settled, world.ask(answer))
    world.suspended(world.grant("a"), asking("production"))
    assert the(Settled, world.ask(answer)) == told
    assert world.wait("production").status == "pending"
    assert the(Refusal, world.ask(c.ResumeThread(key("a"), b"1", "ann", key="other"))).code == "not_found"
    the(Settled, world.ask(c.ResumeThread(key("a"), b"1", "ann", key="production")))
    assert world.job("a").status == "queued"


def test_white_space_makes_no_other_answer() -> None:
    world = World()
    world.suspended(held(world), asking("q"))
    told = world.answer(world.wait("q").wait_id, b'{"ok": true}')
    assert world.answer(world.wait("q").wait_id, b'{"ok":true}') == told
    assert reason(world.answer(world.wait("q").wait_id, b'{"ok":false}')) == "resume_mismatch"


def test_a_repeated_answer_is_not_told_of_the_questions_that_it_made_needless() -> None:
    world = World()
    world.suspended(held(world), *(asking(f"q{number}") for number in range(12)), mode="any")
    world.answer(world.wait("q3").wait_id, b"1")
    assert the(Settled, world.ask(c.ResumeThread(key("a"), b"1", "ann"))).wait.key == "q3"


def test_of_two_that_were_settled_at_one_time_the_one_raised_later_is_the_last() -> None:
    world = World()
    world.suspended(held(world), *(asking(f"q{number}") for number in range(11)))
    for number in reversed(range(11)):
        world.answer(world.wait(f"q{number}").wait_id, b"1")
    assert the(Settled, world.ask(c.ResumeThread(key("a"), b"1", "ann"))).wait.key == "q10"


def test_an_unknown_interrupt_is_not_found_and_a_timer_is_none() -> None:
    world = World()
    world.suspended(held(world), timer())
    for wait_id in ("int_x", "int_" + "0" * 32 + "_1", world.wait("t").wait_id):
        assert the(Refusal, world.answer(wait_id)).code == "not_found"  # type: ignore[arg-type]


# --- graceful cancel ---


def test_a_graceful_cancel_leaves_the_worker_its_lease_and_tells_it() -> None:
    world = World()
    job = held(world)
    told = world.ask(c.Cancel(key("a"), "enough", grace_ms=5_000))
    assert getattr(told, "status", None) == "cancelling"
    assert getattr(world.beat(job), "state", None) == "cancelling"
    world.reported(job, "cleanup")
    assert world.acked(job, body=b'"partly"').status == "cancelled"
    row = world.job("a")
    assert (row.status, row.reason) == ("cancelled", "enough")
    assert world.tables.payloads[key("a"), row.result_seq] == b'"partly"'


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled", "release", "suspend", "expiry", "grace"])
def test_however_a_cancelling_run_ends_it_is_cancelled(how: str) -> None:
    world = World()
    world.submit("a", retry=RetryPolicy("fixed", 0, 5))
    job = world.grant("a", ttl_ms=30_000 if how == "grace" else 3_000)
    world.ask(c.Cancel(key("a"), None, grace_ms=5_000))
    match how:
        case "release":
            world.released(job)
        case "suspend":
            assert world.suspended(job, asking()).status == "cancelled"
        case "expiry":
            world.later(3_000)
            world.sweep("a")
        case "grace":
            assert world.job("a").wake_ms == world.now_ms + 5_000
            world.later(5_000)
            assert reason(world.ack(job)) == "lease_lost"
        case _:
            assert world.acked(job, how).status == "cancelled"
    assert (world.job("a").status, world.job("a").cancel_due_ms) == ("cancelled", None)
    assert world.tables.dead_letters == {}
    assert world.got("w1") == []


def test_a_graceful_cancel_of_what_does_not_run_ends_it_at_once() -> None:
    world = World()
    world.submit("a")
    assert getattr(world.ask(c.Cancel(key("a"), None, grace_ms=5_000)), "status", None) == "cancelled"


def test_asked_again_it_has_no_more_time_and_terminate_ends_it_now() -> None:
    world = World()
    job = held(world)
    world.ask(c.Cancel(key("a"), "enough", grace_ms=5_000))
    due_ms = world.job("a").cancel_due_ms
    world.later(100)
    world.ask(c.Cancel(key("a"), "again", grace_ms=50_000))
    assert world.job("a").cancel_due_ms == due_ms
    assert world.cancelled("a").status == "cancelled"
    assert reason(world.ack(job)) == "lease_lost"


def test_what_waits_were_settled_with_counts_to_the_size_of_a_grant() -> None:
    world = World()
    job = held(world)
    before = job.handout_bytes
    told = world.suspended(
        job, asking("a"), asking("b"), asking("c", after_ms=9, on_expire="resume", expire_value=b"12345")
    )
    assert world.job("a").handout_bytes == before + 5
    world.answer(told.waits[0].wait_id, b'"%s"' % (b"x" * 998))
    world.answer(told.waits[1].wait_id, b"12")
    frame = handed_wait_bytes("a")
    assert world.job("a").handout_bytes == before + 5 + (frame + 1000) + (frame + 2)
    world.later(9)
    world.sweep("a")
    assert world.job("a").handout_bytes == before + 5 + 3 * frame + 1002


def test_a_refusal_counts_to_the_size_of_a_grant() -> None:
    world = World()
    job = held(world)
    told = world.suspended(job, asking("a", on_reject="resume"))
    world.reject(told.waits[0].wait_id, "not now")
    assert world.job("a").handout_bytes == job.handout_bytes + handed_wait_bytes("a", b'"not now"')


def test_waits_past_the_most_that_is_handed_out_add_their_values_alone() -> None:
    world = World()
    job = held(world)
    for number in range(10):
        world.suspended(job, *(timer(f"{number}-{each:02}", 1) for each in range(100)))
        world.later(1)
        world.sweep("a")
        job = world.grant("a")
    assert job.handout_bytes == len(b'{"n":1}') + 1000 * handed_wait_bytes("0-00")
    told = world.suspended(job, asking("a"))
    world.answer(told.waits[0].wait_id, b"123")
    assert world.job("a").handout_bytes == job.handout_bytes + 3


def test_events_of_waits_that_tell_no_sizes_are_told_as_they_are_stored() -> None:
    for stored in (
        b'{"type":"wait_settled","wait_id":"w","kind":"time","status":"resumed"}',
        b'{"type":"rejected","wait_id":"w","reason":null}',
        b'{"type":"suspended","lease_id":"l","mode":"all","waits":[{"wait_id":"w","kind":"time","key":"k"}],"open":1,"interrupts":0}',
    ):
        assert ev.encode(ev.decode(stored)) == stored
