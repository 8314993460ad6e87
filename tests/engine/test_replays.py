"""Replays through the engine: what a closed gate and a full disk do to them."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from oris.core.commands import Replay, ReplayDeadLetter
from oris.core.replies import Replayed
from oris.engine.unit import Unit
from oris.errors import Unavailable
from oris.ids import NO_TENANT, ThreadId, job_key

from .harness import TRACE, World, ack, reason, running, the

KEY = job_key(NO_TENANT, ThreadId("t"))
REPLAY = Replay(KEY, TRACE)


async def asked(world: World, command: Replay | ReplayDeadLetter) -> object:
    return (await world.engine.ask(Unit("submit", [command]))).replies[0]


async def test_a_draining_server_makes_no_replay_and_still_answers_for_one_that_has_completed(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        await world.ask(ack(await world.start("t", "w"), "failed"))
        made = the(Replayed, await asked(world, REPLAY))
        await world.ask(ack(await world.grant("w")))
        world.engine.drain()
        again = the(Replayed, await asked(world, REPLAY))
        assert (again.replay, again.run_id) == (True, made.run_id)
        assert reason(await asked(world, Replay(KEY, TRACE, run_id=made.run_id))) == "draining"
        (failed,) = world.rows().dead_letters
        assert reason(await asked(world, ReplayDeadLetter(KEY, failed, TRACE))) == "already_replayed"


async def test_a_full_disk_refuses_a_replay_alone_and_not_those_who_share_its_commit(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        await world.ask(ack(await world.start("t", "w")))
        held = await world.start("held", "w")
        full = Unavailable("no room", "store_unavailable", cause="disk_full")
        world.store.before = lambda needs: full if needs.replays else None
        world.store.takes_s = 0.01
        replay = world.soon(lambda: asked(world, REPLAY))
        other = world.soon(lambda: world.ask(ack(held)))
        await other.get()
        with pytest.raises(Unavailable):
            await replay.get()
        assert [needs.replays for needs in world.store.commits[-2:]] == [{(KEY, "", 0)}, set()]
        world.store.before = lambda needs: None
        assert not the(Replayed, await asked(world, REPLAY)).replay
