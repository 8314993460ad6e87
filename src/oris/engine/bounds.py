"""The most that goes into one commit."""

from __future__ import annotations

from msgspec import Struct

from oris.engine.heads import ALL_HEADS


class CommitBounds(Struct, frozen=True):
    """The most that goes into one commit."""

    max_commands: int = 512
    max_bytes: int = 8 * 1024 * 1024
    max_polls: int = 256
    """Polls that come with acks, beside the parked ones (`demand.MAX_WANTS`): half of what one commit may grant, which
    is kept for them. An ack whose poll finds no place waits in the inbox: both belong into one commit."""
    max_heads: int = ALL_HEADS
    """Heads that are read of all lanes together; of each at least one."""
