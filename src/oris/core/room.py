"""Room: what one commit may still hand out, to all polls together."""

from __future__ import annotations

from oris.core.limits import Limits


class Room:
    """What this commit may still hand out."""

    __slots__ = ("bytes_kept", "bytes_left", "grants_kept", "grants_left", "used")

    def __init__(self, limits: Limits) -> None:
        self.grants_left = limits.commit_grants_max
        self.bytes_left = limits.commit_bytes_max
        self.grants_kept = 0
        self.bytes_kept = 0
        """Of which so much is kept for those who come later."""
        self.used = False

    def keep_half(self) -> None:
        """Half of it is for later."""
        self.grants_kept, self.bytes_kept = self.grants_left // 2, self.bytes_left // 2

    def keep_nothing(self) -> None:
        """The rest may be used up."""
        self.grants_kept = self.bytes_kept = 0

    def fits(self, leases: int, size: int) -> bool:
        """Whether so much may be handed out now. The first always may: else it would never be."""
        if not self.used:
            return True
        return self.grants_left - leases >= self.grants_kept and self.bytes_left - size >= self.bytes_kept

    def take(self, leases: int, size: int) -> None:
        """So much is handed out."""
        self.used = True
        self.grants_left -= leases
        self.bytes_left -= size
