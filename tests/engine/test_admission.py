"""Admission: the gate closes on lasting trouble, opens after lasting calm, and stops new runs alone."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.commands import Release
from oris.core.replies import Released, Submitted
from oris.engine.admission import Admission, Thresholds
from oris.engine.observer import Sample

from .harness import VirtualClock, lease_of, reason, running, the

CALM = Sample(0, 0, 0)
BAD = (Sample(500, 0, 0), Sample(0, 1000, 0), Sample(0, 0, 0.8))
BETWEEN = Sample(300, 0, 0)


def noted(admission: Admission, *samples: Sample) -> int:
    for sample in samples:
        admission.note(sample)
    return admission.level


@pytest.mark.parametrize("bad", BAD)
def test_the_gate_closes_after_three_bad_samples_in_a_row(bad: Sample) -> None:
    admission = Admission(Thresholds())
    assert noted(admission, bad, bad, CALM, bad, bad) == 0
    assert admission.refusal() is None
    assert noted(admission, bad) == 1
    assert reason(admission.refusal()) == "rate_limited"


def test_the_gate_opens_after_ten_calm_samples_in_a_row() -> None:
    admission = Admission(Thresholds())
    noted(admission, *BAD)
    assert noted(admission, *[CALM] * 9, BETWEEN, *[CALM] * 9) == 1
    assert noted(admission, CALM) == 0


def test_what_is_neither_bad_nor_calm_leaves_the_gate_as_it_is() -> None:
    admission = Admission(Thresholds())
    assert noted(admission, *[BETWEEN] * 50) == 0
    noted(admission, *BAD)
    assert noted(admission, *[BETWEEN] * 50) == 1


def test_draining_goes_before_overload() -> None:
    admission = Admission(Thresholds())
    noted(admission, *BAD)
    admission.draining = True
    assert admission.level == 2
    assert reason(admission.refusal()) == "draining"


def test_a_disk_without_room_closes_the_gate_at_once_and_a_drain_goes_before_it() -> None:
    admission = Admission(Thresholds())
    noted(admission, *BAD)
    full = [True]
    admission.no_room = lambda: full[0]
    assert admission.level == 3
    refused = admission.refusal()
    assert refused is not None
    assert refused.details == {"reason": "store_unavailable", "cause": "disk_full"}
    assert refused.retry_after_s == 5
    admission.draining = True
    assert admission.level == 2
    assert reason(admission.refusal()) == "draining"
    admission.draining, full[0] = False, False
    assert admission.level == 1


async def test_the_monitor_tells_of_a_jump_of_the_wall_clock_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(monitor=True) as world:
        await trio.sleep(1)
        real = VirtualClock.wall_ms
        monkeypatch.setattr(VirtualClock, "wall_ms", lambda self: real(self) - 5000)
        await trio.sleep(1)
        assert world.observer.jumps == [-5000]


async def test_slow_commits_close_the_gate_for_new_runs_alone(autojump_clock: MockClock) -> None:
    async with running(monitor=True) as world:
        job = await world.start("a", "w")
        world.store.takes_s = 2.0
        await world.submitted("slow", key="k")
        world.store.takes_s = 0.0
        assert world.engine.admission.overloaded
        assert reason(await world.submit("more")) == "rate_limited"
        assert (await world.submitted("slow", key="k")).replay
        the(Released, (await world.ask(Release(job.worker_key, lease_of(job)))).replies[0])
        await trio.sleep(2)
        assert isinstance(await world.submit("more"), Submitted)
        assert set(world.observer.levels) == {0, 1}


async def test_one_slow_commit_and_then_quiet_is_no_overload(autojump_clock: MockClock) -> None:
    async with running(monitor=True) as world:
        await trio.sleep(0.05)
        world.store.takes_s = 1.1
        await world.submitted("slow")
        world.store.takes_s = 0.0
        await trio.sleep(5)
        assert not world.engine.admission.overloaded


async def test_a_lagging_loop_is_seen(autojump_clock: MockClock) -> None:
    async with running(monitor=True) as world:
        for _ in range(3):
            await trio.sleep(0.05)
            autojump_clock.jump(0.7)
            await wait_all_tasks_blocked()
        assert world.engine.admission.overloaded


async def test_what_was_let_in_before_the_gate_closed_is_accepted(autojump_clock: MockClock) -> None:
    async with running() as world, trio.open_nursery() as nursery:
        gate = world.store.hold()
        nursery.start_soon(world.submitted, "first")
        await world.store.entered.wait()
        nursery.start_soon(world.submitted, "second")
        await wait_all_tasks_blocked()
        world.engine.admission.overloaded = True
        assert reason(await world.submit("third")) == "rate_limited"
        gate.set()
    assert world.observer.turned_away == 1


async def test_repeats_that_wait_while_the_gate_is_closed_do_not_keep_it_closed(autojump_clock: MockClock) -> None:
    async with running() as world, trio.open_nursery() as nursery:
        await world.submitted("known", key="k")
        world.engine.admission.overloaded = True
        gate = world.store.hold()
        answers: list[object] = []

        async def submit(thread: str, key: str) -> None:
            answers.append(await world.submit(thread, key=key))

        nursery.start_soon(submit, "held", "held")
        await world.store.entered.wait()
        nursery.start_soon(submit, "known", "k")
        nursery.start_soon(submit, "other", "o")
        await wait_all_tasks_blocked()
        assert world.engine._inbox.fullness() == 0
        gate.set()
    replays = [answer for answer in answers if isinstance(answer, Submitted)]
    assert [answer.replay for answer in replays] == [True]
    assert [reason(answer) for answer in answers if answer not in replays] == ["rate_limited"] * 2
