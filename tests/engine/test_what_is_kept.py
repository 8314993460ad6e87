"""What the jobs of a commit carry is kept by those alone who are given it, and only until it is in their answer."""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.engine.engine import Engine

from .harness import granted, lease_of, running, submits, want
from .test_cancellation_routes import Api

INPUT = b'"%s"' % (b"x" * 5000)


def holds(start: object, value: bytes, engine: Engine) -> bool:
    """Whether a callable that was made for one answer holds on to these bytes, the engine left aside."""
    seen = {id(engine)}
    left = [start]
    while left:
        each = left.pop()
        if isinstance(each, bytes) and value in each:
            return True
        if id(each) in seen or isinstance(each, (ModuleType, type)):
            continue
        seen.add(id(each))
        left += list(each.__closure__ or ()) if isinstance(each, FunctionType) else gc.get_referents(each)
    return False


async def test_a_poll_keeps_nothing_of_what_others_were_given_in_its_commit(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.engine.ask(submits("a", "b"))
        polls = [world.soon(lambda n=n: world.poll(f"w{n}", wait_s=1)) for n in range(3)]  # type: ignore[misc]
        got = [await poll.get() for poll in polls]
        assert len(world.observer.batches[-1][1].parked) == 3, "all are in one batch"
        assert [set(each.handed) for each in got] == [{job.run_id for job in granted(each)} for each in got]
        assert sorted(len(each.handed) for each in got) == [0, 1, 1]


async def test_a_poll_that_comes_with_an_ack_keeps_its_own_alone_too(autojump_clock: MockClock) -> None:
    async with running() as world:
        jobs = [await world.start(f"t{n}", f"w{n}") for n in range(3)]
        await world.engine.ask(submits("a", "b"))
        answers = [
            world.soon(lambda n=n: world.finish(jobs[n], want(f"w{n}")))  # type: ignore[misc]
            for n in range(3)
        ]
        found = [await each.get() for each in answers]
        assert sorted(len(each.handed) for each in found) == [0, 1, 1]


@pytest.mark.parametrize("with_ack", [False, True])
async def test_an_answer_that_waits_to_be_read_holds_what_it_carries_once(
    autojump_clock: MockClock, *, with_ack: bool
) -> None:
    async with running() as world:
        api = Api(world)
        job = await world.start("first", "w")
        await world.engine.ask(submits("a", input=INPUT))
        if with_ack:
            said = {"attempt_id": f"att_{job.run_id[4:]}", "lease_id": lease_of(job), "terminal_status": "completed"}
            answer = await api.post("/v1/workers/w/ack", {**said, "poll": {}})
        else:
            answer = await api.post("/v1/workers/poll", {"worker_id": "v"})
        await wait_all_tasks_blocked()
        assert INPUT in answer.body
        assert answer.on_undelivered is not None
        assert not holds(answer.on_undelivered, INPUT, world.engine)
