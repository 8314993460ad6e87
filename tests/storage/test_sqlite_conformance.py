"""SQLite passes the conformance suites, with threads and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oris.core.invariants import check_all

from .driver import Harness
from .sqlite_harness import SqliteHarness
from .suites import AllConformance


class _OnSqlite(AllConformance):
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


class TestInThreads(_OnSqlite):
    inline = False


class TestInline(_OnSqlite):
    inline = True
