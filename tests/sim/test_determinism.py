"""A seed determines everything: in any process, whatever the hash seed of its strings."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import msgspec
import pytest
import trio
from trio._core import _run

from oris.sim import simulate
from oris.sim.clock import JumpingClock
from oris.sim.determinism import deterministic
from oris.sim.streams import Streams

SEEDS = 4


def in_another_process(hash_seed: str) -> str:
    """The hash over the traces of a few seeds, as another process finds it."""
    command = [sys.executable, "-m", "oris", "simulate", "--seeds", str(SEEDS), "--first", "50", "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
    found: dict[str, str] = msgspec.json.decode(done.stdout)
    return found["trace_hash"]


def test_the_same_seeds_leave_the_same_trace_in_other_processes() -> None:
    assert len({in_another_process(hash_seed) for hash_seed in ("0", "1", "4711")}) == 1


def test_the_same_seed_has_the_same_outcome_twice() -> None:
    assert simulate(5) == simulate(5)


def test_another_seed_leaves_another_trace() -> None:
    assert simulate(5).trace_hash != simulate(6).trace_hash


def test_leaving_a_stream_out_does_not_shift_the_others() -> None:
    one, other = Streams(3), Streams(3)
    one("a").random()
    assert one("b").random() == other("b").random()
    assert Streams(4)("b").random() != Streams(3)("b").random()


def test_trio_still_has_the_two_private_names() -> None:
    assert isinstance(_run._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    assert callable(_run._r.seed)
    assert callable(_run._r.getstate)


@pytest.mark.parametrize("seed", [1, 2])
def test_trio_schedules_by_the_seed(seed: int) -> None:
    assert order_of_tasks(seed) == order_of_tasks(seed)
    assert order_of_tasks(seed) != order_of_tasks(seed + 10)


def order_of_tasks(seed: int) -> list[int]:
    """In which order fifty tasks come to run."""
    order: list[int] = []

    async def main() -> None:
        async def note(number: int) -> None:
            await trio.lowlevel.checkpoint()
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(note, number)

    with deterministic(seed):
        trio.run(main)
    return order


def test_everything_is_put_back_afterwards() -> None:
    before = (_run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate(), gc.isenabled())
    simulate(7)
    assert (_run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate(), gc.isenabled()) == before


def test_the_clock_jumps_to_the_next_deadline() -> None:
    clock = JumpingClock(lambda: None)

    async def main() -> float:
        await trio.sleep_until(1_000_000.0)
        return trio.current_time()

    assert trio.run(main, clock=clock) == 1_000_000.0


def test_the_clock_reports_a_deadlock_at_once() -> None:
    scope = trio.CancelScope()
    clock = JumpingClock(scope.cancel)

    async def main() -> None:
        with scope:
            await trio.sleep_forever()

    trio.run(main, clock=clock)
    assert scope.cancelled_caught
