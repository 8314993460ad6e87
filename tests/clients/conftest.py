"""A server with its defaults, for client programs as people have them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..e2e.server_process import ServerProcess, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for all tests of a module; its rows are checked afterwards."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running
