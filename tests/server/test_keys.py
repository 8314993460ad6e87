"""The keys task, over a real engine on virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api.key_ring import KeyRing, digest_of
from oris.config.settings import Settings
from oris.config.values import Address
from oris.core.commands import CreateKey, NoteKeyUses, RevokeKey
from oris.engine.unit import Unit
from oris.errors import ApiError, ConfigError, ErrorCode, Unavailable
from oris.ids import KeyId, TenantId
from oris.observability.log_format import render_json
from oris.observability.logs import Logs
from oris.server.keys import LOOK_S, keep_keys, learn_keys, look
from oris.storage.reads.cluster import StoredKeys

from ..engine.harness import World, running

KEY = KeyId("key_1")
CREATE = CreateKey(KEY, "worker", TenantId("acme"), digest_of(b"secret"))
EXPOSED = Settings(server_addr=Address("0.0.0.0", 80), sqlite_db=Path("x.db"))


class Nowhere:
    dropped = 0

    def put(self, line: str) -> None: ...

    def close(self, timeout_s: float) -> int:
        return 0


def ring_of(world: World) -> KeyRing:
    """As the server connects them."""
    ring = KeyRing(world.engine.clock.now_ms)
    world.engine.on_key = ring.put
    return ring


def is_let_in(ring: KeyRing) -> bool:
    return ring.find(KEY.encode(), b"secret") is not None


async def test_a_key_lets_in_and_no_more_when_its_commands_are_answered(autojump_clock: MockClock) -> None:
    async with running() as world:
        ring = ring_of(world)
        await world.ask(CREATE)
        assert is_let_in(ring)
        gate = world.store.hold()
        revoking = world.soon(lambda: world.ask(RevokeKey(KEY, None)))
        await world.store.entered.wait()
        assert is_let_in(ring)
        gate.set()
        await revoking.get()
        assert not is_let_in(ring)


async def test_a_poll_is_granted_nothing_by_the_commit_that_revokes_its_key(autojump_clock: MockClock) -> None:
    """Its work is there for the next worker at once."""
    async with running() as world:
        ring = ring_of(world)
        await world.ask(CREATE)

        async def poll() -> object:
            with ring.while_valid(KEY):
                return await world.poll("w", wait_s=50.0)

        parked = world.soon(poll)
        await wait_all_tasks_blocked()
        gate = world.store.hold()
        world.soon(lambda: world.ask(NoteKeyUses(())))
        await world.store.entered.wait()
        # Both are in one batch, behind the commit that is held.
        revoking = world.soon(lambda: world.ask(RevokeKey(KEY, None)))
        submitting = world.soon(lambda: world.submitted("t"))
        await wait_all_tasks_blocked()
        gate.set()
        await revoking.get()
        await submitting.get()
        await parked.done.wait()
        assert isinstance(parked.error, ApiError)
        assert parked.error.code is ErrorCode.UNAUTHORIZED
        job = await world.grant("w2")
        assert (job.thread_id, job.attempt_no) == ("t", 1)


async def test_last_uses_are_committed_by_the_task_and_never_by_a_request(autojump_clock: MockClock) -> None:
    async with running() as world:
        ring = ring_of(world)
        await world.ask(CREATE)
        before = len(world.store.commits)
        used_ms = world.engine.clock.now_ms()
        for _ in range(50):
            assert is_let_in(ring)
        assert len(world.store.commits) == before
        with trio.move_on_after(LOOK_S * 20.5):
            await keep_keys(ring, world.engine, Logs(Settings().log, render_json, Nowhere(), lambda: 0), lambda: None)
        assert len(world.store.commits) == before + 1
        (row,) = world.rows().api_keys
        assert row.used_ms == used_ms


async def test_another_nodes_revocation_is_found_by_looking(autojump_clock: MockClock) -> None:
    async with running() as world:
        ring = ring_of(world)
        await world.ask(CREATE)
        world.engine.on_key = None  # what is committed now was committed elsewhere
        await world.ask(RevokeKey(KEY, None))
        assert is_let_in(ring)
        with trio.move_on_after(LOOK_S / 2):
            await keep_keys(ring, world.engine, Logs(Settings().log, render_json, Nowhere(), lambda: 0), lambda: None)
        assert not is_let_in(ring)


async def test_a_look_that_began_before_a_revocation_does_not_undo_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as world:
        ring = ring_of(world)
        await world.ask(CREATE)
        is_let_in(ring)
        await look(ring, world.engine)
        reads, read = world.engine.reads, world.engine.reads.stored_keys

        async def slow(now_ms: int) -> StoredKeys:
            found = await read(now_ms)
            await world.ask(RevokeKey(KEY, None))
            return found

        monkeypatch.setattr(reads, "stored_keys", slow)
        await look(ring, world.engine)
        assert not is_let_in(ring)


async def test_a_store_that_refuses_leaves_the_keys_in_force_and_the_task_alive(autojump_clock: MockClock) -> None:
    async with running() as world:
        ring = ring_of(world)
        await world.ask(CREATE)
        assert is_let_in(ring)
        refused: list[int] = []

        def refuse(needs: object) -> Unavailable | None:
            refused.append(1)
            return Unavailable("no") if len(refused) < 4 else None

        world.store.before = refuse
        with trio.move_on_after(LOOK_S * 10):
            await keep_keys(ring, world.engine, Logs(Settings().log, render_json, Nowhere(), lambda: 0), lambda: None)
        assert len(refused) == 4
        assert is_let_in(ring)
        assert world.rows().api_keys[0].used_ms is not None


@pytest.mark.parametrize("revoked", [False, True])
async def test_other_machines_may_call_a_server_that_ever_had_a_key(autojump_clock: MockClock, revoked: bool) -> None:
    async with running() as world:
        now_ms = world.engine.clock.now_ms()
        ring = KeyRing(world.engine.clock.now_ms)
        with pytest.raises(ConfigError, match=r"ORIS_SERVER_ADDR: 0\.0\.0\.0:80 can be reached from other machines"):
            await learn_keys(ring, world.engine.reads, EXPOSED, now_ms)
        await world.ask(CREATE)
        if revoked:
            await world.ask(RevokeKey(KEY, None))
        await learn_keys(ring, world.engine.reads, EXPOSED, now_ms)
        assert ring.any_ever
        assert is_let_in(ring) != revoked


async def test_uses_are_noted_in_a_commit_of_many(autojump_clock: MockClock) -> None:
    async with running() as world:
        ring = ring_of(world)
        creates = [CreateKey(KeyId(f"key_{n}"), "client", None, digest_of(b"secret")) for n in range(30)]
        await world.engine.ask(Unit("write", creates))
        for command in creates:
            assert ring.find(command.key_id.encode(), b"secret") is not None
        before = len(world.store.commits)
        await look(ring, world.engine)
        assert len(world.store.commits) == before + 1
        assert all(key.used_ms for key in world.rows().api_keys)
