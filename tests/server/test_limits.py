"""How the settings meet what the machine has."""

from __future__ import annotations

import pytest

from oris.config import Settings
from oris.server.limits import RESERVED_FILES, Machine, http_limits

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("files", "connections"), [(20_000, 4096), (4096 + RESERVED_FILES, 4096), (1024, 1024 - RESERVED_FILES), (10, 1)]
)
def test_no_more_connections_are_let_in_than_there_are_files(files: int, connections: int) -> None:
    assert http_limits(Settings(), Machine(files, None)).connections_max == connections


def test_a_small_machine_holds_fewer_bodies_unless_told_otherwise() -> None:
    small = Machine(20_000, 200 * MIB)
    assert http_limits(Settings(), small).bodies_in_flight_max_bytes == 50 * MIB
    told = Settings(http_bodies_max_bytes=70 * MIB)
    assert http_limits(told, small).bodies_in_flight_max_bytes == 70 * MIB
