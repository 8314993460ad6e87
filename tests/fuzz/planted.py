"""The program with one handler that is wrong, as `ORIS_TEST_FAULT` says: for the fuzzer to find."""

from __future__ import annotations

import os
import sys
from typing import Any

import trio
from msgspec.structs import replace

from oris.api import routes
from oris.api.handlers import server
from oris.api.http import Answer
from oris.cli import main


async def raises(call: Any, _: None) -> Answer:
    """A bug."""
    raise KeyError("planted")


async def hangs(call: Any, _: None) -> Answer:
    """Another one."""
    await trio.sleep_forever()
    raise AssertionError


async def no_envelope(call: Any, _: None) -> Answer:
    """And one more."""
    return Answer(200, b"{}")


if __name__ == "__main__":
    fault = {"raises": raises, "hangs": hangs, "no_envelope": no_envelope}[os.environ["ORIS_TEST_FAULT"]]
    routes.ROUTES = tuple(
        replace(route, handler=fault) if route.handler is server.capabilities else route for route in routes.ROUTES
    )
    sys.exit(main())
