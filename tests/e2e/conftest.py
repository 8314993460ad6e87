"""One server for all tests of a module, for those that only talk to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from .calls import Caller
from .server_process import ServerProcess, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without credentials. Afterwards every invariant holds on its rows."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0
        running.check_rows()


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client of that server."""
    with server.client() as client:
        yield client


@pytest.fixture
def caller(http: httpx.Client, request: pytest.FixtureRequest) -> Caller:
    """A client and a worker whose jobs nobody else's tests touch."""
    return Caller(http, re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-120:])
