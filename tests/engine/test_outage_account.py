"""The node's own account of its outages, and when commits are calm again."""

from __future__ import annotations

import pytest

from oris.core.outage import LONGEST_GRACE_MS, Outage, expiry
from oris.engine.outages import LEAST_MS, REFUSED_MS, Outages

from ..core.world import World


def account() -> tuple[Outages, list[Outage]]:
    """An account that somebody keeps, and what it tells."""
    told: list[Outage] = []
    outages = Outages(told.append)
    return outages, told


def settle(outages: Outages, now_ms: int) -> None:
    """The sweeper makes up for everything."""
    owed = outages.owing()
    assert owed is not None
    outages.made_up(owed, now_ms)


def commit(outages: Outages, started_ms: int, now_ms: int) -> None:
    outages.starts(started_ms)
    outages.ended(now_ms, wrote=True)


def test_a_new_store_owes_nothing_and_an_old_one_the_time_since() -> None:
    outages, told = account()
    outages.begin(0, 5_000)
    assert ((outages.calm_ms(5_000) == 5_000), told) == (True, [])
    outages, told = account()
    outages.begin(4_990, 5_000)
    assert told == [Outage(4_990, 5_000, "start")], "however short: the leases of a second may be over by it"
    assert outages.calm_ms(5_000) != 5_000
    settle(outages, 5_000)
    assert outages.calm_ms(5_000) == 5_000


def test_a_standstill_is_noticed_by_whoever_looks_first() -> None:
    for look in ("monitor", "commit"):
        outages, told = account()
        outages.alive(1_000)
        outages.alive(1_000 + LEAST_MS - 1)
        assert told == []
        back_ms = 1_000 + LEAST_MS - 1 + 60_000
        assert outages.at(back_ms) == (Outage(back_ms - 60_000, back_ms, "standstill"),)
        assert outages.calm_ms(back_ms) != back_ms
        if look == "monitor":
            outages.alive(back_ms)
        else:
            commit(outages, back_ms, back_ms + 2)
        assert [outage.from_ms for outage in told] == [back_ms - 60_000]
        assert outages.calm_ms(back_ms + 2) != back_ms + 2


def test_nobody_looking_is_no_standstill() -> None:
    outages, told = account()
    commit(outages, 1_000, 1_001)
    commit(outages, 90_000, 90_001)
    assert (outages.at(99_000), told) == ((), [])


def test_trouble_lasts_from_the_first_commit_that_failed_to_one_that_wrote() -> None:
    outages, told = account()
    outages.alive(1_000)
    outages.starts(1_010)
    outages.failed()
    outages.alive(1_100)
    outages.starts(5_000)
    outages.ended(5_001, wrote=False)
    assert ((outages.calm_ms(5_001) == 5_001), told) == (False, []), "a read says nothing of the disk"
    assert outages.at(6_000) == (Outage(1_000, 6_000),)
    commit(outages, 6_000, 6_001)
    assert told == [Outage(1_000, 6_001)]
    settle(outages, 6_001)
    assert outages.calm_ms(6_001) == 6_001


def test_a_slow_commit_that_had_nothing_to_write_is_an_outage_that_is_over_with_it() -> None:
    outages, told = account()
    outages.starts(1_000)
    assert outages.at(1_000 + LEAST_MS) == (Outage(1_000, 1_000 + LEAST_MS),)
    outages.ended(1_000 + LEAST_MS, wrote=False)
    assert told == [Outage(1_000, 1_000 + LEAST_MS)], "what it was decided by counts afterwards too"
    assert outages.at(9_000) == tuple(told)
    outages.starts(9_000)
    outages.ended(9_001, wrote=False)
    assert len(told) == 1


def test_a_short_trouble_is_made_up_for_in_the_commit_that_ends_it_and_not_remembered() -> None:
    outages, told = account()
    outages.starts(1_000)
    outages.failed()
    assert outages.at(1_100) == (Outage(1_000, 1_100),)
    commit(outages, 1_100, 1_101)
    assert (outages.at(1_102), told, (outages.calm_ms(1_102) == 1_102)) == ((), [], True)


def test_a_commit_that_takes_long_is_an_outage_for_those_it_kept_waiting() -> None:
    outages, told = account()
    outages.alive(1_000)
    outages.starts(1_000)
    for at_ms in range(1_100, 4_000, 100):
        outages.alive(at_ms)
    outages.ended(4_000, wrote=True)
    assert told == [Outage(1_000, 4_000)]


def test_what_comes_up_while_it_is_made_up_for_is_owed_still() -> None:
    outages, _ = account()
    outages.begin(1_000, 5_000)
    owed = outages.owing()
    assert owed is not None
    outages.alive(5_000)
    outages.alive(9_000)
    outages.made_up(owed, 9_000)
    assert outages.calm_ms(9_000) != 9_000
    settle(outages, 9_000)
    assert outages.calm_ms(9_000) == 9_000


def test_an_outage_is_forgotten_once_it_can_matter_to_no_lease() -> None:
    outages, _ = account()
    outages.begin(1_000, 5_000)
    settle(outages, 5_000)
    assert outages.at(5_001) == (Outage(1_000, 5_000, "start"),)
    assert outages.latest_end_ms() == 5_000 + LONGEST_GRACE_MS
    outages.alive(5_000)
    outages.alive(9_000)
    settle(outages, 5_001 + LONGEST_GRACE_MS)
    assert outages.at(9_001) == (Outage(5_000, 9_000, "standstill"),)


def slow_disk(outages: Outages, now_ms: int, commits: int, *, made_up: bool) -> int:
    """Each commit takes 0.6 s; the passes of the sweeper that are under way meanwhile get through, or do not."""
    for _ in range(commits):
        owed = outages.owing()
        commit(outages, now_ms, now_ms + 600)
        now_ms += 600
        if made_up and owed is not None:
            outages.made_up(owed, now_ms)
    return now_ms


@pytest.mark.parametrize("made_up", [True, False])
def test_outages_are_forgotten_on_a_slow_disk_too(made_up: bool) -> None:
    outages, told = account()
    outages.alive(1_000_000)
    now_ms = slow_disk(outages, 1_000_000, 2_000, made_up=made_up)
    assert len(told) == 2_000
    assert len(outages.at(now_ms)) < 200


def test_commits_are_calm_again_when_the_disk_is_fast_again() -> None:
    for made_up in (True, False):
        outages, _ = account()
        outages.alive(1_000_000)
        now_ms = slow_disk(outages, 1_000_000, 300, made_up=made_up)
        commit(outages, now_ms, now_ms + 2)
        assert outages.calm_ms(now_ms + 2) != now_ms + 2
        settle(outages, now_ms + 2)
        assert outages.calm_ms(now_ms + 3) == now_ms + 3
        outages.made_up(0, now_ms + 2 + LONGEST_GRACE_MS)
        assert outages.at(now_ms + 3) == ()


def test_workers_that_were_refused_have_time_to_come_again() -> None:
    outages, told = account()
    outages.alive(1_000)
    outages.refused(1_100)
    outages.alive(1_200)
    assert outages.at(1_200) == (Outage(1_100, 1_200, "refused"),)
    assert outages.calm_ms(1_200) != 1_200
    for now_ms in range(1_300, 2_300, 100):
        outages.alive(now_ms)
    outages.refused(2_300)
    for now_ms in range(2_300, 2_300 + REFUSED_MS + 100, 100):
        outages.alive(now_ms)
    assert told == []
    over_ms = 2_300 + REFUSED_MS + 100
    outages.alive(over_ms)
    assert told == [Outage(1_100, 2_300 + REFUSED_MS, "refused")]
    settle(outages, over_ms)
    assert outages.calm_ms(over_ms) == over_ms


def test_workers_that_are_refused_all_the_time_do_not_keep_the_leases_of_dead_ones() -> None:
    """A fleet that is larger than the places for its polls is refused for hours."""
    outages, told = account()
    lease = World().start("a", ttl_ms=30_000)
    since_ms = lease.lease_granted_ms
    ends: list[int] = []
    for now_ms in range(since_ms, since_ms + 600_000, 250):
        outages.alive(now_ms)
        outages.refused(now_ms)
        ends.append(expiry(lease, outages.at(now_ms)) - since_ms)
        if (owed := outages.owing()) is not None:
            outages.made_up(owed, now_ms)
    assert max(ends) <= 30_000 + 2 * LONGEST_GRACE_MS
    assert [outage.to_ms - outage.from_ms for outage in told] == [LONGEST_GRACE_MS] * len(told)
    assert len(told) == 600_000 // LONGEST_GRACE_MS - 1


def test_until_when_commits_were_calm_is_known_though_none_ever_was() -> None:
    outages, told = account()
    outages.alive(1_000)
    outages.refused(1_001)
    outages.alive(1_100)
    assert outages.calm_ms(1_100) == 1_001
    again, told = account()
    again.begin(outages.calm_ms(1_100), 3_000)
    assert told == [Outage(1_001, 3_000, "start")], "a server that dies in its first trouble has not been a new one"


def test_calm_goes_back_to_the_first_outage_that_is_owed() -> None:
    outages, _ = account()
    outages.begin(1_000, 2_000)
    settle(outages, 2_000)
    for from_ms in (5_000, 9_000):
        outages.alive(from_ms)
        outages.alive(from_ms + 1_000)
    assert outages.calm_ms(10_000) == 5_000
    settle(outages, 10_000)
    assert outages.calm_ms(10_000) == 10_000
