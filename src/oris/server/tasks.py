"""How long-running loops meet the supervisor's wish to stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from oris.supervisor import Handle


async def until_stopping(handle: Handle, run: Callable[[], Awaitable[object]]) -> None:
    """Run a loop that may be cut at any checkpoint until the child is asked to stop."""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await handle.stopping.wait()
            nursery.cancel_scope.cancel(reason="asked to stop")

        nursery.start_soon(watch)
        await run()


async def first(*events: trio.Event) -> None:
    """Until one of the events is set."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel(reason="one event is enough")

        for event in events:
            nursery.start_soon(wait, event)
