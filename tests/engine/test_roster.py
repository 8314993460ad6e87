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
