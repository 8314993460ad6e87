"""The program with a fault planted in one child of its tree: `ORIS_TEST_FAULT=child:kind:times`.

The child does its work until the file `ORIS_TEST_TRIGGER` names exists; then it raises, returns or hangs, as often as
`times` says. The kind `start` never gets ready. All watching is made quick.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import trio

import oris.engine.committer
import oris.server.build
import oris.server.disk
import oris.server.gauges
import oris.server.keys
import oris.server.main
import oris.server.tasks
from oris.cli import main
from oris.server.build import Server

CHILD, KIND, TIMES = os.environ["ORIS_TEST_FAULT"].split(":")
TRIGGER = Path(os.environ["ORIS_TEST_TRIGGER"])
STALL_S = 1.0
QUICK_S = 0.1


class PlantedFault(Exception):
    """What the kind `raise` raises."""


class Plant:
    """A child's run with the fault in it."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._left = int(TIMES)

    async def __call__(self, *arguments: Any, task_status: trio.TaskStatus[object]) -> None:
        """The child's own work, and the fault when its time has come."""
        if KIND == "start":
            await trio.Path(TRIGGER).touch()
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:

            async def fail_later() -> None:
                while not await trio.Path(TRIGGER).exists():
                    await trio.sleep(0.01)
                if self._left <= 0:
                    return
                self._left -= 1
                if KIND == "raise":
                    raise PlantedFault("planted")
                nursery.cancel_scope.cancel(reason="planted")

            value = await nursery.start(self._start, arguments)
            task_status.started(value)
            nursery.start_soon(fail_later)
        if nursery.cancel_scope.cancelled_caught and KIND == "hang":
            await trio.sleep_forever()

    async def _start(self, arguments: tuple[Any, ...], task_status: trio.TaskStatus[object]) -> None:
        await self._run(*arguments, task_status=task_status)


def plant() -> None:
    """Put the fault in."""
    if KIND == "hang":
        oris.server.main.STALL_S = STALL_S
    oris.server.main.BEAT_S = oris.server.tasks.BEAT_S = oris.server.build.BEAT_S = QUICK_S  # type: ignore[attr-defined]
    oris.engine.committer.IDLE_S = QUICK_S
    oris.server.gauges.REFRESH_S = QUICK_S
    oris.server.disk.LOOK_S = oris.server.keys.LOOK_S = QUICK_S
    if CHILD == "signals":
        oris.server.main.run_signals = Plant(oris.server.main.run_signals)  # type: ignore[assignment]
        return
    planted = Plant(getattr(Server, f"run_{CHILD}"))

    async def run(*arguments: Any, task_status: trio.TaskStatus[object]) -> None:
        await planted(*arguments, task_status=task_status)

    setattr(Server, f"run_{CHILD}", run)


if __name__ == "__main__":
    plant()
    sys.exit(main())
