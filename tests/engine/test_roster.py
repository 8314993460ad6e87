"""The roster: who has called, who takes what, and who is deaf."""

from __future__ import annotations

from oris.core.model import Lane, Worker
from oris.engine.roster import MAX_WORKERS, RECENT_MS, Roster
from oris.ids import NO_TENANT, TenantId, WorkerId, WorkerKey, worker_key

from .harness import want

MAIL = Lane(NO_TENANT, "mail")


class Now:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def key(name: str = "w") -> WorkerKey:
    return worker_key(NO_TENANT, WorkerId(name))


def test_a_worker_that_calls_and_does_not_poll_is_deaf_while_it_has_room() -> None:
    now = Now()
    roster = Roster(now)
    with roster.polls(want("w", worker_limit=2)):
        pass
    for _ in range(7):
        now.ms += 10_000
        roster.heard(key())
    assert roster.is_deaf(key(), leased=1, limit=100)
    assert not roster.is_deaf(key(), leased=2, limit=100), "it is full"
    with roster.polls(want("w", worker_limit=2)):
        assert not roster.is_deaf(key(), leased=1, limit=100), "it waits for work right now"
    assert not roster.is_deaf(key(), leased=1, limit=100), "it has just asked"


def test_one_that_has_never_polled_here_is_deaf_only_after_a_while_of_calls() -> None:
    now = Now()
    roster = Roster(now)
    roster.heard(key())
    assert not roster.is_deaf(key(), leased=0, limit=100)
    now.ms += RECENT_MS + 1
    assert not roster.is_deaf(key(), leased=0, limit=100), "it does not call either: it is gone, not deaf"
    roster.heard(key())
    assert roster.is_deaf(key(), leased=0, limit=100)
    assert not roster.is_deaf(key("unknown"), leased=0, limit=100)


def test_a_lane_is_wanted_by_who_asks_or_asked_lately_for_its_workflow() -> None:
    now = Now()
    roster = Roster(now)
    assert not roster.takes(MAIL)
    with roster.polls(want("w", workflows=["mail"])):
        now.ms += 10 * RECENT_MS
        assert roster.takes(MAIL)
        assert not roster.takes(Lane(NO_TENANT, "pay"))
    assert roster.takes(MAIL)
    now.ms += RECENT_MS + 1
    assert not roster.takes(MAIL)


def test_a_bound_worker_takes_its_tenants_lanes_alone() -> None:
    roster = Roster(Now())
    with roster.polls(want("w", tenant="acme")):
        assert roster.takes(Lane(TenantId("acme"), "mail"))
        assert not roster.takes(MAIL)


def test_the_newest_session_is_remembered() -> None:
    roster = Roster(Now())
    assert not roster.is_open(key(), "s1")
    roster.opened(Worker(key(), 0, 0, 0, session="s1"))
    assert roster.is_open(key(), "s1")
    roster.opened(Worker(key(), 0, 0, 0, session="s2"))
    assert not roster.is_open(key(), "s1")


def test_who_was_silent_for_the_longest_is_forgotten_first() -> None:
    now = Now()
    roster = Roster(now)
    for number in range(MAX_WORKERS + 1):
        roster.heard(key(f"w{number}"))
        if number == 0:
            roster.opened(Worker(key("w0"), 0, 0, 0, session="s"))
    assert roster.called_ms(key("w0")) is None
    assert roster.called_ms(key("w1")) == now.ms
    assert roster.is_open(key("w0"), "s"), "its session is kept for itself"


def test_a_worker_that_holds_all_it_has_asked_for_is_not_deaf() -> None:
    now = Now()
    roster = Roster(now)
    with roster.polls(want("w", 4)):
        pass
    now.ms += RECENT_MS + 1
    roster.heard(key())
    assert not roster.is_deaf(key(), leased=4, limit=100), "four slots, for all that is known"
    assert roster.is_deaf(key(), leased=3, limit=100)


def test_a_worker_that_polls_for_control_messages_alone_is_full_and_neither_deaf_nor_missing() -> None:
    now = Now()
    roster = Roster(now)
    with roster.polls(want("w", 2, workflows=["mail"])):
        pass
    for _ in range(10):
        now.ms += 10_000
        roster.heard(key())
        with roster.polls(want("w", 0)):
            assert not roster.is_deaf(key(), leased=1, limit=100)
    assert not roster.is_deaf(key(), leased=1, limit=100)
    assert roster.takes(MAIL), "it is busy, not gone"
    assert not roster.takes(Lane(NO_TENANT, "pay"))
    assert roster.polled_ms(key()) == now.ms - 100_000, "it has not asked for work since"
    now.ms += RECENT_MS + 1
    roster.heard(key())
    assert roster.is_deaf(key(), leased=1, limit=100)
    assert not roster.takes(MAIL)


def test_a_worker_with_a_parked_poll_is_not_forgotten() -> None:
    now = Now()
    roster = Roster(now)
    with roster.polls(want("waits")):
        for number in range(MAX_WORKERS + 1):
            roster.heard(key(f"w{number}"))
        assert roster.polled_ms(key("waits")) == now.ms
        assert roster.takes(MAIL)
    assert roster.called_ms(key("w0")) is None


def test_the_session_of_a_worker_that_calls_is_kept_before_that_of_a_silent_one() -> None:
    roster = Roster(Now())
    for number in range(MAX_WORKERS):
        roster.opened(Worker(key(f"w{number}"), 0, 0, 0, session="s"))
    roster.heard(key("w0"))
    roster.opened(Worker(key("another"), 0, 0, 0, session="s"))
    assert roster.is_open(key("w0"), "s")
    assert not roster.is_open(key("w1"), "s")
