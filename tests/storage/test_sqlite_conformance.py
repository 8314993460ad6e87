"""SQLite passes the conformance suites, with threads and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oris.core.invariants import check_all

from .conformance import StoreConformance
from .conformance_handouts import HandoutsConformance
from .conformance_holds import HoldsConformance
from .conformance_keys import KeysConformance
from .conformance_pruning import PruningConformance
from .conformance_reads import ReadsConformance
from .conformance_replays import ReplaysConformance
from .conformance_retention import RetentionConformance
from .driver import Harness
from .sqlite_harness import SqliteHarness

SUITES = (
    StoreConformance,
    ReadsConformance,
    KeysConformance,
    ReplaysConformance,
    RetentionConformance,
    PruningConformance,
    HoldsConformance,
)


class _OnSqlite:
    inline: bool

    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[Harness]:
        harness = SqliteHarness(tmp_path, inline=self.inline)
        await harness.open()
        try:
            yield harness
            assert check_all(await harness.snapshot()) == []
        finally:
            await harness.aclose()


class TestInThreads(
    _OnSqlite,
    StoreConformance,
    ReadsConformance,
    KeysConformance,
    ReplaysConformance,
    RetentionConformance,
    PruningConformance,
    HoldsConformance,
    HandoutsConformance,
):
    inline = False


class TestInline(
    _OnSqlite,
    StoreConformance,
    ReadsConformance,
    KeysConformance,
    ReplaysConformance,
    RetentionConformance,
    PruningConformance,
    HoldsConformance,
    HandoutsConformance,
):
    inline = True
