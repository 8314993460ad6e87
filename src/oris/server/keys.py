"""The keys task: writes when keys were used, and reads the keys again for what other nodes have done to them."""

from __future__ import annotations

from collections.abc import Callable

import trio

from oris.api.key_ring import KeyRing
from oris.config.checks import check_exposure
from oris.config.settings import FIELDS, Settings
from oris.core.commands import NoteKeyUses
from oris.engine.engine import Engine
from oris.engine.unit import Unit
from oris.errors import StoreError
from oris.observability.logs import Logs
from oris.storage.reads.cluster import ClusterReads

LOOK_S = 1.0
"""How long another node's revocation may go unnoticed."""
USES_MAX = 1000
"""Last uses in one commit; the rest go into the next."""


async def learn_keys(ring: KeyRing, reads: ClusterReads, settings: Settings, now_ms: int) -> None:
    """Read the keys at the start. Raises ConfigError when there never was one, and other machines could call."""
    ring.learn(await reads.stored_keys(now_ms), ring.version)
    check_exposure(settings, {field.name: field.env for field in FIELDS}, any_key=ring.any_ever)


async def keep_keys(ring: KeyRing, engine: Engine, logs: Logs, beat: Callable[[], None]) -> None:
    """Look until cancelled. While the store cannot be read or written, what is known stays in force."""
    log = logs.get("oris.server.keys")
    while True:
        beat()
        try:
            await look(ring, engine)
        except StoreError as error:
            log.debug("keys_not_looked_at", error=str(error))
        await trio.sleep(LOOK_S)


async def look(ring: KeyRing, engine: Engine) -> None:
    """Once. What a commit of this node has changed meanwhile is not undone by what was read before it."""
    uses = ring.uses(USES_MAX)
    if uses:
        await engine.ask(Unit("write", [NoteKeyUses(uses)]))
        ring.noted(uses)
    version = ring.version
    ring.learn(await engine.reads.stored_keys(engine.clock.calendar_ms()), version)
