"""Sessions: the newest process of a worker works; what an older one held is over, and it is told so for good."""

from __future__ import annotations

from oris.core.events import LeaseExpired
from oris.core.limits import Limits
from oris.core.replies import SessionOpened, Submitted

from .world import World, reason, the


def working(world: World, thread: str = "a", session: str = "s1") -> None:
    """A job runs under a session."""
    the(SessionOpened, world.open_session("w", session))
    the(Submitted, world.submit(thread))
    world.grant(thread, "w", session=session)


def test_a_session_opened_again_changes_nothing() -> None:
    world = World()
    working(world)
    row = world.worker("w")
    world.later(1000)
    assert the(SessionOpened, world.open_session("w", "s1")).replaced is None
    assert world.worker("w") == row


def test_a_newer_session_ends_the_leases_of_the_one_before_at_once() -> None:
    world = World()
    working(world)
    job = world.job("a")
    world.later(500)
    assert the(SessionOpened, world.open_session("w", "s2")).replaced == "s1"
    world.later(100)
    refused = world.ack(job)
    assert reason(refused) == "lease_lost"
    assert world.job("a").status == "queued"
    (lost,) = world.bodies("a", LeaseExpired)
    assert lost.cause == "superseded"
    assert lost.expired_ms == world.now_ms - 100
    assert (world.job("a").attempt_no, world.job("a").losses) == (2, 1)


def test_a_write_under_a_superseded_lease_is_told_that_state() -> None:
    world = World()
    working(world)
    job = world.job("a")
    world.open_session("w", "s2")
    world.sweep("a")
    refused = world.report(job, "step")
    assert getattr(refused, "details", None) == {"reason": "lease_lost", "state": "superseded"}


def test_a_replaced_session_is_dead_for_good() -> None:
    world = World()
    for session in ("s1", "s2", "s3"):
        the(SessionOpened, world.open_session("w", session))
    for dead in ("s1", "s2"):
        assert reason(world.open_session("w", dead)) == "session_superseded"
    assert world.worker("w").session == "s3"


def test_a_session_is_compared_at_each_grant() -> None:
    world = World()
    the(SessionOpened, world.open_session("w", "s1"))
    the(SessionOpened, world.open_session("w", "s2"))
    the(Submitted, world.submit("a"))
    refused = world.poll("w", session="s1")
    assert (refused.jobs, refused.blocked) == ((), "session_superseded")
    assert world.got("w", session="s2") == ["a"]


def test_leases_without_a_session_are_no_sessions_business() -> None:
    world = World()
    job = world.start("a", "w")
    world.open_session("w", "s1")
    world.open_session("w", "s2")
    assert world.acked(job).status == "completed"


def test_the_same_poll_id_of_another_session_is_another_poll() -> None:
    world = World()
    world.open_session("w", "s1")
    world.submit("a")
    world.grant("a", "w", session="s1", poll_id="p")
    again = world.poll("w", session="s1", poll_id="p")
    assert [job.thread_id for job in again.redelivered] == ["a"]
    world.open_session("w", "s2")
    assert world.poll("w", session="s2", poll_id="p").redelivered == ()


def test_a_dropped_session_loses_what_it_holds_and_may_go_on() -> None:
    world = World()
    working(world)
    world.later(50)
    assert world.drop_session("w", "s1")
    world.later(50)
    world.sweep("a")
    (lost,) = world.bodies("a", LeaseExpired)
    assert (lost.cause, lost.expired_ms) == ("disconnected", world.now_ms - 50)
    job = world.grant("a", "w", session="s1")
    assert world.acked(job).status == "completed"


def test_a_session_that_holds_nothing_or_has_been_replaced_is_not_dropped() -> None:
    world = World()
    world.open_session("w", "s1")
    assert not world.drop_session("w", "s1")
    working(world, session="s2")
    assert not world.drop_session("w", "s1")
    assert world.job("a").status == "running"


def test_chosen_threads_are_granted_wherever_they_stand() -> None:
    world = World()
    for thread in ("a", "b", "c"):
        world.submit(thread)
    assert world.got("w", 5, threads={"c", "b", "nobody"}) == ["b", "c"]
    assert world.got("w", 5) == ["a"]


def test_chosen_threads_leave_the_line_of_others_in_the_same_commit() -> None:
    from .world import want

    world = World()
    for thread in ("a", "b"):
        world.submit(thread)
    world.batch([], [want("w1", threads={"a"}), want("w2", 2)])
    assert [[job.thread_id for job in granted.jobs] for granted in world.last.granted] == [["a"], ["b"]]


def test_chosen_threads_keep_to_the_limits() -> None:
    world = World()
    for thread in ("a", "b"):
        world.submit(thread)
    granted = world.poll("w", 5, threads={"a", "b"}, worker_limit=1)
    assert ([job.thread_id for job in granted.jobs], granted.blocked) == (["a"], "worker_limit")


def test_chosen_threads_are_granted_only_of_the_polls_workflows() -> None:
    world = World()
    world.submit("a", workflow="mail")
    world.submit("b", workflow="print")
    assert world.got("w", 5, workflows={"print"}, threads={"a", "b"}) == ["b"]


def test_the_answer_to_a_poll_for_chosen_threads_stops_at_its_size_too() -> None:
    world = World(Limits(answer_max_bytes=2_000))
    threads = [f"t{number}" for number in range(10)]
    for thread in threads:
        world.submit(thread, input=b'"' + b"x" * 800 + b'"')
    assert world.got("w", 10, threads=set(threads)) == ["t0", "t1"]


def test_a_lease_that_ran_out_and_is_found_after_its_session_was_replaced_is_superseded() -> None:
    world = World()
    the(SessionOpened, world.open_session("w", "s1"))
    the(Submitted, world.submit("a"))
    job = world.grant("a", "w", session="s1", ttl_ms=1_000)
    world.later(1_500)
    world.open_session("w", "s2")
    world.sweep("a")
    (lost,) = world.bodies("a", LeaseExpired)
    assert (lost.cause, lost.expired_ms) == ("ttl", job.lease_expires_ms)
    assert job.lease_id is not None
    assert world.tables.closed[job.lease_id].state == "superseded", "its successor is told nothing of it"
