"""One server for all tests of a module, for those that only talk to it, and the checks after every test."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from .calls import Caller
from .server_process import ServerProcess, check_ended, serving
from .timelines import check_timelines


@pytest.fixture(autouse=True)
def rows_of_ended_servers() -> Iterator[None]:
    """Every invariant holds on what each server has left behind (I11 among them), whatever a test was about."""
    yield
    check_ended()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without credentials. Afterwards every timeline verifies by its export alone, and its rows hold."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running
        with running.client() as client:
            check_timelines(client)
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
