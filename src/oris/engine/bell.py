"""What wakes the committer."""

from __future__ import annotations

import trio


class Bell:
    """Wakes the committer. Ringing twice is ringing once."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """There is something to do."""
        self._event.set()

    async def wait(self) -> None:
        """Until it rings; then it is silent again. A checkpoint."""
        await self._event.wait()
        self._event = trio.Event()
