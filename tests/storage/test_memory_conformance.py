"""The store in memory passes the conformance suites."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from oris.core.invariants import check_all

from .driver import Harness
from .memory_harness import MemoryHarness
from .suites import AllConformance


class TestInMemory(AllConformance):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        harness = MemoryHarness()
        yield harness
        assert check_all(await harness.snapshot()) == []
        await harness.store.aclose()
