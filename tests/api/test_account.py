"""The accounts: a common part, a workers' part, and who waits for room."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api.account import Account, Share
from oris.api.freight import COUNTED_BYTES, MAKING_BYTES, MAKING_MAX, ROOM_WAIT_S, Freight, Hold, ProbeAnswers
from oris.api.places import Kind, Places, Waits
from oris.errors import ApiError


def share(account: Account, *, of_worker: bool = False) -> Share:
    made = Share(account)
    made.of_worker = of_worker
    return made


def test_a_part_is_for_workers_alone() -> None:
    account = Account(100, 25)
    client, worker = share(account), share(account, of_worker=True)
    assert client.take(70)
    assert not client.take(10)
    assert worker.take(30)
    assert not worker.take(1)
    assert (account.held_bytes, account.refused) == (100, 2)
    client.set(0)
    assert not share(account).take(71), "workers hold five of what is common"
    assert share(account).take(70)


def test_one_that_is_alone_always_fits() -> None:
    account = Account(100, 25)
    only = share(account)
    assert only.take(1000)
    assert not share(account).take(1)
    only.set(0)
    assert account.held_bytes == 0


async def test_who_waits_gets_what_is_given_back_in_turn_and_workers_wait_for_no_client() -> None:
    account = Account(100, 20)
    first, got = share(account), []
    assert first.take(80)

    async def wait(name: str, size: int, *, of_worker: bool = False) -> None:
        assert await share(account, of_worker=of_worker).wait_for(size, 1000)
        got.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "large", 60)
        await wait_all_tasks_blocked()
        nursery.start_soon(wait, "small", 10)
        await wait_all_tasks_blocked()
        nursery.start_soon(lambda: wait("worker", 20, of_worker=True))
        await wait_all_tasks_blocked()
        assert got == ["worker"]
        first.set(30)
        await wait_all_tasks_blocked()
        assert got == ["worker"], "the small one does not overtake the large one"
        first.set(15)
        await wait_all_tasks_blocked()
        assert got == ["worker", "large"]
        first.set(0)
    assert got == ["worker", "large", "small"]
    assert account.waiting == 0


async def test_who_waits_in_vain_or_goes_away_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    account = Account(100, 0)
    assert share(account).take(100)
    assert not await share(account).wait_for(1, 5)
    with trio.move_on_after(1):
        await share(account).wait_for(1, 5)
    assert (account.waiting, account.held_bytes) == (0, 100)


async def test_few_answers_of_unknown_size_are_made_at_a_time(autojump_clock: MockClock) -> None:
    hold = Hold(Account(100, 0), Account(1000 * MAKING_BYTES, 0))
    making = [Freight(hold) for _ in range(MAKING_MAX)]
    for each in making:
        await each.begin_answer()
    late = Freight(hold)
    with pytest.raises(ApiError) as refused:
        await late.begin_answer()
    assert refused.value.details == {"reason": "inbox_full"}
    assert trio.current_time() >= ROOM_WAIT_S
    making[0].answer_made(7)
    await late.begin_answer()
    for each in (*making, late):
        each.release()
    assert hold.answers.held_bytes == 0
    assert hold.making.borrowed_tokens == 0


async def test_a_workers_answer_is_made_beside_those_of_clients_that_find_no_room(autojump_clock: MockClock) -> None:
    """Clients that do not read hold the common part, and more of them than are made at a time wait for it."""
    hold = Hold(Account(100, 0), Account(4 * MAKING_BYTES, MAKING_BYTES))
    unread = Freight(hold)
    assert unread.answer is not None
    assert unread.answer.take(3 * MAKING_BYTES)
    async with trio.open_nursery() as nursery:
        for _ in range(2 * MAKING_MAX):
            nursery.start_soon(Freight(hold).begin_answer)
        await wait_all_tasks_blocked()
        worker = Freight(hold, of_worker=True)
        await worker.begin_answer()
        assert trio.current_time() == 0
        worker.answer_made(1)
        worker.release()
        nursery.cancel_scope.cancel()
    unread.release()
    assert (hold.answers.held_bytes, hold.answers.waiting) == (0, 0)


async def test_an_answer_counts_what_it_is_until_it_is_taken() -> None:
    hold = Hold(Account(100, 0), Account(10 * MAKING_BYTES, 0))
    freight = Freight(hold)
    await freight.begin_answer()
    assert hold.answers.held_bytes == MAKING_BYTES
    freight.answer_made(5)
    assert hold.answers.held_bytes == 5
    assert await freight.count_piece(5, lambda: None)
    assert hold.answers.held_bytes == 5
    freight.piece_taken()
    assert hold.answers.held_bytes == 0


def test_what_a_worker_was_granted_counts_at_once_and_whoever_grants_more_is_told_when_it_is_taken() -> None:
    hold = Hold(Account(100, 0), Account(3 * COUNTED_BYTES, COUNTED_BYTES))
    told: list[int] = []
    hold.answers.on_given_back = lambda: told.append(hold.answers.held_bytes)
    small, large = (Freight(hold, of_worker=True) for _ in range(2))
    small.answer_made(COUNTED_BYTES)
    assert hold.answers.held_bytes == 0
    large.answer_made(5 * COUNTED_BYTES)
    assert hold.answers.held_bytes == 5 * COUNTED_BYTES, "it is there, room or not"
    assert hold.answers.left_for(None) == -2 * COUNTED_BYTES
    client = Freight(hold)
    client.answer_made(5 * COUNTED_BYTES)
    assert hold.answers.held_bytes == 5 * COUNTED_BYTES, "a client's counts when it is sent"
    large.release()
    assert (told, hold.answers.left_for(None)) == ([0], 3 * COUNTED_BYTES)


def test_a_tenant_has_room_as_long_as_it_holds_less_than_is_free() -> None:
    hold = Hold(Account(100, 0), Account(10 * COUNTED_BYTES, COUNTED_BYTES))
    slow = Freight(hold, of_worker=True, tenant_id="slow")
    slow.answer_made(5 * COUNTED_BYTES)
    left = [hold.answers.left_for(tenant_id) for tenant_id in ("slow", "quick", None)]
    assert left == [0, 5 * COUNTED_BYTES, 5 * COUNTED_BYTES]
    client = Freight(hold, tenant_id="slow")
    assert client.answer is not None
    client.answer.set(COUNTED_BYTES)
    assert hold.answers.left_for("slow") == -COUNTED_BYTES, "what clients hold counts once"
    client.release()
    slow.release()
    assert hold.answers.left_for("slow") == 10 * COUNTED_BYTES


def test_what_a_worker_was_owed_is_refused_only_when_twice_as_much_is_held_and_never_when_it_is_small() -> None:
    hold = Hold(Account(100, 0), Account(2 * COUNTED_BYTES, 0))
    unread, again = Freight(hold, of_worker=True), Freight(hold, of_worker=True)
    unread.answer_made(4 * COUNTED_BYTES - 1)
    again.answer_again(COUNTED_BYTES + 1, "outcome_unknown")
    unread.answer_made(4 * COUNTED_BYTES)
    with pytest.raises(ApiError) as refused:
        again.answer_again(COUNTED_BYTES + 1, "outcome_unknown")
    assert refused.value.details == {"reason": "outcome_unknown"}
    again.answer_again(COUNTED_BYTES, "outcome_unknown")
    unread.release()


async def test_the_answer_to_a_probe_needs_no_room_that_others_fill_and_takes_none_of_theirs() -> None:
    hold = Hold(Account(100, 25), Account(100, 25))
    for of_worker in (False, True):
        other = Freight(hold, of_worker=of_worker)
        assert other.answer is not None
        other.answer.set(100)
    probe = Freight(hold, of_probe=True)
    assert await probe.count_piece(50, lambda: None)
    assert (hold.answers.held_bytes, hold.answers.waiting, hold.probes.held_bytes) == (200, 0, 50)
    probe.release()
    assert (hold.answers.held_bytes, hold.probes.held_bytes) == (200, 0)


def test_probes_that_do_not_read_are_cut_for_new_ones_the_oldest_first() -> None:
    probes = ProbeAnswers(100)
    cut: list[str] = []
    for name in ("first", "read", "second"):
        probes.hold(name, 30, lambda name=name: cut.append(name))  # type: ignore[misc]
    probes.give_back("read")
    probes.hold("third", 60, lambda: cut.append("third"))
    assert (cut, probes.held_bytes) == (["first"], 90)
    probes.hold("large", 1000, lambda: cut.append("large"))
    assert (cut, probes.held_bytes) == (["first", "second", "third"], 1000), "one that is alone always has room"
    probes.give_back("first")
    probes.give_back("large")
    assert probes.held_bytes == 0


def test_a_body_is_handed_over_once_and_counts_until_it_is_done() -> None:
    hold = Hold(Account(100, 0), Account(100, 0))
    freight = Freight(hold)
    assert freight.upload is not None
    assert freight.upload.take(3)
    freight.put(b"abc")
    assert (freight.take(), freight.take()) == (b"abc", b"")
    assert hold.bodies.held_bytes == 3
    freight.body_done()
    assert hold.bodies.held_bytes == 0


def test_places_are_kept_for_polls_for_workers_and_for_probes() -> None:
    places = Places(64)

    def fill(kind: Kind) -> int:
        count = 0
        while count < 200 and places.enter(kind) == kind:
            count += 1
        return count

    assert fill("client") == 56
    assert fill("poll") == 4
    assert fill("probe") == 1
    assert fill("worker") == 200, "as many as there are connections"
    places.leave("client")
    assert places.enter("poll") == "poll"
    assert places.enter("client") is None, "clients and polls together"
    places.leave("poll")
    assert places.enter("probe") == "client", "a probe is a client like others where there is room"


def test_waits_are_limited() -> None:
    waits = Waits(1)
    seen = [waits.are_full]
    with waits.place():
        seen.append(waits.are_full)
    assert [*seen, waits.are_full] == [False, True, False]
    assert (waits.taken, waits.refused) == (0, 1)
