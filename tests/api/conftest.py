"""The small API with and without TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oris.api.tls import Credentials, load_credentials

from .front import WIRE


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """Of a server for clients that trust `WIRE.authority`."""
    return load_credentials(WIRE.authority.write(tmp_path_factory.mktemp("tls")))


@pytest.fixture(params=["plain", "tls"])
def wire(request: pytest.FixtureRequest) -> Iterator[str]:
    """What holds without TLS holds with it: each test of a module that uses this runs twice."""
    if request.param == "tls":
        WIRE.credentials = request.getfixturevalue("credentials")
    yield request.param
    WIRE.credentials = None
