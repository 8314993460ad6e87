"""Commands on a database that no server has open, committed as a server commits them: decided by the core, audited."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import trio

from oris.clock import EngineClock, SystemClock
from oris.config.settings import Settings
from oris.core.audit_anchor import Uncut
from oris.core.mode import OFFLINE, Modes
from oris.core.outage import Outage
from oris.core.replies import Refusal
from oris.engine.batch import Batch, Outcome
from oris.engine.engine import Engine
from oris.engine.observer import Passed, Sample
from oris.ids import node_id
from oris.server.build import engine_settings
from oris.storage.backends import open_store

T = TypeVar("T")


class _Quiet:
    """An observer that tells nobody: whoever asks waits for the answer."""

    def committed(self, outcome: Outcome, batch: Batch, took_ms: float) -> None: ...

    def commit_failed(self, error: Exception, batch: Batch | None = None, took_ms: float = 0.0) -> None: ...

    def command_failed(self, error: Exception) -> None: ...

    def refused(self, refusal: Refusal, count: int) -> None: ...

    def outage(self, outage: Outage) -> None: ...

    def retention_passed(self, passed: Passed) -> None: ...

    def audit_not_cut(self, uncut: Uncut) -> None: ...

    def sampled(self, sample: Sample, level: int) -> None: ...

    def clock_jumped(self, by_ms: int) -> None: ...

    def clock_skewed(self, by_ms: int) -> None: ...

    def mode_changed(self, modes: Modes) -> None: ...


async def run_offline(
    settings: Settings, work: Callable[[Engine], Awaitable[T]], warn: Callable[[str], None] = lambda text: None
) -> T:
    """What `work` answers, on an engine with nothing but its committer, under the server's own lock.

    The database is made when missing; `warn` is told what the operator should know of its file. Nothing is dispatched,
    no deadline is looked for, and no lease's account is closed: the next server finds all that as the last one left it.
    Raises InUse while a server has the database, ConfigError when it cannot be opened, StoreError, and whatever else
    `work` raises, bare.
    """
    clock = EngineClock(SystemClock())
    chance = Random(int.from_bytes(os.urandom(16), "big"))
    node = node_id(OFFLINE, chance.getrandbits(32))
    store = await open_store(settings, clock.now_ms, node, serves=False)
    for warning in store.database_warnings:
        warn(warning)
    async with store:
        clock.start_after(await store.high_water_ms())
        engine = Engine(store, clock, chance, _Quiet(), engine_settings(settings, node))
        outcome: list[T] = []
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(engine.committer.run, _beat)
                outcome.append(await work(engine))
            except Exception as error:
                failed = error  # raised outside of the nursery, which would wrap it
            engine.committer.stop()
    if failed is not None:
        raise failed
    return outcome[0]


def _beat() -> None:
    """Nobody watches the progress of so short a task."""
