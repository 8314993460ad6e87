"""How long-running loops meet the supervisor's wish to stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from oris.server.probe import Probe
from oris.supervisor import Handle

BEAT_S = 5.0
"""How often a task that only waits looks whether what it waits on still answers."""


async def until_stopping(handle: Handle, run: Callable[[], Awaitable[object]]) -> None:
    """Run a loop that may be cut at any checkpoint until the child is asked to stop."""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await handle.stopping.wait()
            nursery.cancel_scope.cancel(reason="asked to stop")

        nursery.start_soon(watch)
        await run()
        # It was not asked to: the supervisor is to see that.
        nursery.cancel_scope.cancel(reason="the loop has returned")


async def first(*events: trio.Event) -> None:
    """Until one of the events is set."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel(reason="one event is enough")

        for event in events:
            nursery.start_soon(wait, event)


async def watch_listener(
    handle: Handle, address: tuple[str, int], probe: Callable[[], Probe], served: Callable[[], Sequence[int]] = tuple
) -> None:
    """Beat as long as somebody answers on an address, asked like a client asks. Returns when asked to stop.

    Only silence is a hang: a connection that is refused or cut, or a file too many, says that the loop goes on. So do
    the numbers of connections and of answers, `served`, when all of them have changed while this one waits: behind a
    flood of strangers its turn comes late.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_beat_for_others, handle, served)
        while not await stops_within(handle, BEAT_S):
            try:
                async with await trio.open_tcp_stream(*address) as stream:
                    await probe()(stream)
            except (OSError, trio.BrokenResourceError):
                pass
            handle.beat()
        nursery.cancel_scope.cancel(reason="asked to stop")


async def _beat_for_others(handle: Handle, served: Callable[[], Sequence[int]]) -> None:
    before = served()
    while not await stops_within(handle, BEAT_S):
        now = served()
        if now and all(new != old for new, old in zip(now, before, strict=True)):
            before = now
            handle.beat()


async def stops_within(handle: Handle, limit_s: float) -> bool:
    """Wait for the child to be asked to stop, for so long at most."""
    with trio.move_on_after(limit_s):
        await handle.stopping.wait()
    return handle.stopping.is_set()
