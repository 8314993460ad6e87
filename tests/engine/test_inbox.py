"""The inbox: lanes with room of their own, and batches that every lane has a part in."""

from __future__ import annotations

import pytest

from oris.engine.bounds import CommitBounds
from oris.engine.inbox import Inbox
from oris.engine.parked import Parked
from oris.engine.unit import Lane, State, Unit
from oris.errors import Unavailable

from .harness import submit, want


def unit(lane: Lane, commands: int = 1, size_bytes: int = 0) -> Unit:
    return Unit(lane, [submit("t")] * commands, size_bytes=size_bytes)


def test_each_lane_has_a_part_in_every_batch() -> None:
    inbox = Inbox(10_000, 10_000)
    lanes: list[Lane] = ["submit", "client", "sweep", "write", "renew"]
    for lane in lanes:
        for _ in range(100):
            inbox.put_nowait(unit(lane))
    taken = inbox.take(CommitBounds(40, 1000))
    assert len(taken) == 40
    assert {lane: sum(u.lane == lane for u in taken) >= 3 for lane in lanes} == dict.fromkeys(lanes, True)
    assert taken[0].lane == "renew"


def test_a_lane_alone_fills_the_whole_batch() -> None:
    inbox = Inbox(10_000, 10_000)
    for _ in range(100):
        inbox.put_nowait(unit("submit"))
    assert len(inbox.take(CommitBounds(40, 1000))) == 40


def test_a_unit_larger_than_a_batch_is_taken_and_leaves_the_others_their_turn() -> None:
    inbox = Inbox(10_000, 10_000)
    big, beat = unit("submit", 1000), unit("renew")
    inbox.put_nowait(big)
    inbox.put_nowait(unit("submit"))
    inbox.put_nowait(beat)
    assert inbox.take(CommitBounds(512, 1000)) == [beat, big]
    assert len(inbox.take(CommitBounds(512, 1000))) == 1


def test_order_is_kept_within_a_lane() -> None:
    inbox = Inbox(100, 10_000)
    units = [unit("write", n % 5 + 1) for n in range(20)]
    for each in units:
        inbox.put_nowait(each)
    taken = []
    while inbox:
        taken += inbox.take(CommitBounds(7, 1000))
    assert taken == units


def test_bytes_bound_a_batch_as_commands_do() -> None:
    inbox = Inbox(100, 10_000)
    for _ in range(10):
        inbox.put_nowait(unit("submit", 1, 100))
    assert len(inbox.take(CommitBounds(100, 250))) == 2


@pytest.mark.parametrize(("commands", "size_bytes"), [(11, 0), (1, 101)])
def test_a_full_lane_refuses_and_the_others_do_not(commands: int, size_bytes: int) -> None:
    inbox = Inbox(10, 100)
    inbox.put_nowait(unit("submit"))
    with pytest.raises(Unavailable) as refused:
        inbox.put_nowait(unit("submit", commands, size_bytes))
    assert refused.value.reason == "inbox_full"
    inbox.put_nowait(unit("write", commands, size_bytes))
    inbox.put_nowait(unit("submit", commands, size_bytes), always=True)
    assert inbox.depth() == 1 + 2 * commands


def test_what_was_withdrawn_is_not_taken_and_gives_its_room_back() -> None:
    inbox = Inbox(10, 100)
    gone, stays = unit("submit", 9), unit("submit")
    inbox.put_nowait(gone)
    inbox.put_nowait(stays)
    assert inbox.fullness() == 1.0
    gone.state = State.GONE
    assert inbox.take(CommitBounds(1, 100)) == [stays]
    assert stays.state is State.TAKEN
    assert (inbox.depth(), inbox.fullness()) == (0, 0.0)
    assert not inbox


def test_draining_gives_everything_that_still_waits() -> None:
    inbox = Inbox(10, 100)
    first, gone = unit("write"), unit("submit")
    inbox.put_nowait(first)
    inbox.put_nowait(gone)
    gone.state = State.GONE
    assert inbox.drain() == [first]
    assert inbox.depth() == 0


def test_what_clients_do_to_runs_takes_no_room_of_workers() -> None:
    inbox = Inbox(100, 1000)
    inbox.put_nowait(unit("client", size_bytes=1000))
    with pytest.raises(Unavailable):
        inbox.put_nowait(unit("client", size_bytes=1))
    inbox.put_nowait(unit("write", size_bytes=1000))


def test_units_with_polls_have_a_bound_of_their_own_and_keep_their_order() -> None:
    inbox = Inbox(10_000, 10_000)
    units = [Unit("write", [submit("t")], poll=Parked(want("w"), 0, brought=True)) for _ in range(5)]
    behind = unit("write")
    for each in [*units, behind]:
        inbox.put_nowait(each)
    assert inbox.take(CommitBounds(512, 1000, max_polls=3)) == units[:3]
    assert inbox.take(CommitBounds(512, 1000, max_polls=3)) == [*units[3:], behind]
