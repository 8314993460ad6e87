from __future__ import annotations

import pytest

from oris.core.dispatch import dispatch
from oris.core.facts import Facts
from oris.core.limits import Limits
from oris.core.model import RetryPolicy
from oris.core.needs import Needs
from oris.core.replies import Submitted
from oris.core.stamp import Stamp

from .world import World, ack, asking, submit, the, want


def test_first_in_is_first_out() -> None:
    world = World()
    for thread in ("a", "b", "c"):
        world.submit(thread)
        world.later(1)
    assert world.got("w1", 2) == ["a", "b"]
    assert world.got("w2", 2) == ["c"]


def test_submits_of_one_millisecond_keep_the_order_in_which_they_were_taken() -> None:
    world = World()
    threads = [f"t{n}" for n in (5, 3, 9, 1, 7)]
    world.batch([submit(thread) for thread in threads])
    assert world.got("w1", 10) == threads


def test_a_higher_priority_goes_first() -> None:
    world = World()
    world.batch([submit("low", priority=1), submit("high", priority=9), submit("middle", priority=5)])
    assert world.got("w1", 3) == ["high", "middle", "low"]


def test_order_holds_over_the_workflows_of_a_tenant() -> None:
    world = World()
    world.batch([submit("a", workflow="x"), submit("b", workflow="y"), submit("c", workflow="x")])
    assert world.got("w1", 3) == ["a", "b", "c"]


def test_a_delayed_job_stands_where_its_time_puts_it() -> None:
    world = World()
    world.submit("delayed", delay_ms=1_000)
    world.later(500)
    world.submit("before")
    world.later(1_000)
    world.submit("after")
    world.sweep("delayed")
    assert world.got("w1", 3) == ["before", "delayed", "after"]


def test_run_at_in_the_past_is_now() -> None:
    world = World()
    world.submit("first")
    world.later(10)
    assert the(Submitted, world.submit("t", run_at_ms=world.now_ms - 5_000)).status == "queued"
    assert world.job("t").available_ms == world.now_ms
    assert world.got("w1", 2) == ["first", "t"]


def test_a_job_that_is_not_yet_due_is_not_granted() -> None:
    world = World()
    assert the(Submitted, world.submit("t", delay_ms=1_000)).status == "scheduled"
    world.later(999)
    world.sweep("t")
    assert world.got("w1") == []
    world.later(1)
    world.sweep("t")
    assert world.got("w1") == ["t"]


def test_retries_losses_and_releases_do_not_change_the_place_in_the_order() -> None:
    world = World()
    again = RetryPolicy("fixed", 0, 9)
    for thread in ("lost", "released", "retried"):
        world.submit(thread, retry=again)
        world.later(1)
    lost, released, retried = world.poll("w1", 3, ttl_ms=100).jobs
    world.submit("younger")
    world.released(released)
    world.acked(retried, "failed")
    world.later(100)
    world.sweep("lost")
    assert lost.thread_id == "lost"
    assert world.got("w2", 4) == ["lost", "released", "retried", "younger"]


def test_a_poll_takes_only_its_workflows() -> None:
    world = World()
    world.batch([submit("a", workflow="x"), submit("b", workflow="y")])
    assert world.got("w1", 5, workflows={"y"}) == ["b"]
    assert world.got("w1", 5, workflows={"z"}) == []


def test_a_worker_bound_to_a_tenant_sees_no_other_tenants_job() -> None:
    world = World()
    world.batch([submit("a", tenant="red"), submit("b", tenant="blue")])
    assert world.got("w1", 5, tenant="blue") == ["b"]


def test_a_submit_and_its_grant_share_a_commit() -> None:
    world = World()
    replies = world.batch([submit("t")], [want("w1")])
    assert the(Submitted, replies[0]).status == "queued"
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["t"]
    assert world.events("t") == ["run_created", "attempt_queued", "lease_granted"]


def test_an_ack_makes_room_for_the_poll_in_the_same_batch() -> None:
    world = World()
    first = world.start("a")
    world.submit("b")
    world.batch([ack(first)], [want("w1", worker_limit=1)])
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["b"]


def test_one_job_goes_to_one_of_two_polls() -> None:
    world = World()
    world.batch([submit("a"), submit("b")], [want("w1", 1), want("w2", 5)])
    first, second = world.last.granted
    assert [job.thread_id for job in first.jobs] == ["a"]
    assert [job.thread_id for job in second.jobs] == ["b"]


def test_a_new_job_does_not_overtake_stored_ones_that_were_not_read() -> None:
    world = World()
    for thread in ("a", "b", "c"):
        world.submit(thread)
        world.later(1)
    world.heads_read = 2
    world.batch([submit("fresh")], [want("w1", 10)])
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["a", "b"]
    assert world.last.drained == set()
    assert world.got("w1", 10) == ["c", "fresh"]


def test_a_new_job_of_higher_priority_does_overtake_what_was_not_read() -> None:
    world = World()
    for thread in ("a", "b", "c"):
        world.submit(thread)
    world.heads_read = 1
    world.batch([submit("urgent", priority=9)], [want("w1", 10)])
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["urgent", "a"]


def test_round_robin_serves_the_tenant_with_the_fewest_leases() -> None:
    world = World()
    world.batch([submit(f"hot{n}", tenant="hot") for n in range(5)])
    world.later(1)
    world.batch([submit(f"cold{n}", tenant="cold") for n in range(2)])
    assert world.got("w1", 5) == ["cold0", "hot0", "cold1", "hot1", "hot2"]


@pytest.mark.parametrize("ms", [0, 1, 1_000])
def test_round_robin_serves_equals_in_turn_even_when_no_time_passes(ms: int) -> None:
    world = World()
    world.batch([submit(f"{tenant}{n}", tenant=tenant) for tenant in "abc" for n in range(4)])
    served = []
    for _ in range(6):
        world.later(ms)
        (job,) = world.poll("w1").jobs
        served.append(job.tenant_id)
        world.acked(job)
    assert served == ["a", "b", "c", "a", "b", "c"]


def test_what_a_poll_is_told_does_not_hang_on_the_order_in_which_rows_were_read() -> None:
    world = World()
    world.batch([submit(f"{tenant}{n}", tenant=tenant) for tenant in "abcd" for n in range(2)])
    world.poll("w1", 4)
    lanes = world.lanes()
    told = []
    for order in (sorted(lanes), sorted(lanes, reverse=True)):
        loaded = world.load(Needs(heads={lane: 9 for lane in order}))
        dispatched = dispatch(Facts(loaded, world.limits), [want("w1", 9, tenant_limit=1)], Stamp(world.now_ms, 1), 9)
        told.append(dispatched.granted)
    assert told[0] == told[1]
    assert (told[0][0].blocked, told[0][0].jobs) == ("tenant_limit", ())


def test_fifo_serves_the_oldest_of_all_tenants() -> None:
    world = World(Limits(fairness="fifo"))
    for tenant, thread in (("b", "1"), ("a", "2"), ("b", "3"), ("c", "4")):
        world.submit(thread, tenant=tenant)
        world.later(1)
    assert world.got("w1", 4) == ["1", "2", "3", "4"]


def test_an_answer_stops_at_its_size_but_holds_at_least_one_job() -> None:
    world = World(Limits(answer_max_bytes=100))
    world.batch([submit("big", input=b'"%s"' % (b"x" * 500)), submit("s1"), submit("s2")])
    assert world.got("w1", 3) == ["big"]
    assert world.got("w1", 3) == ["s1", "s2"]


def test_answers_of_people_fill_an_answer_too() -> None:
    world = World(Limits(answer_max_bytes=1_000))
    jobs = [world.start(thread) for thread in ("a", "b", "c")]
    for wait in [world.suspended(job, asking()).waits[0] for job in jobs]:
        world.answer(wait.wait_id, b'"%s"' % (b"x" * 400))
    assert world.got("w1", 3) == ["a"]
    assert world.got("w1", 3) == ["b"]


def test_every_grant_hands_out_its_payloads() -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", checkpoint=b"{}")
    world.released(job)
    again = world.grant("t", "w2")
    assert (again.input_seq, again.checkpoint_seq) == (1, 5)
    assert world.tables.payloads[again.job_key, again.checkpoint_seq] == b"{}"


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_poll_is_never_given_more_than_its_limit(limit: int) -> None:
    world = World()
    world.batch([submit(f"t{n}") for n in range(4)])
    granted = world.poll("w1", limit)
    assert len(granted.jobs) == limit
    assert granted.blocked is None


def test_every_grant_raises_the_fence_even_when_the_clock_was_set_back() -> None:
    world = World()
    first = world.start("t")
    world.released(first)
    world.now_ms -= 60_000
    assert world.grant("t").fence == first.fence + 1
    world.later(120_000)
    world.sweep("t")
    assert world.grant("t").fence == world.now_ms
