"""Room: what one commit may still hand out, to all polls together, and how much the answers of polls may still hold."""

from __future__ import annotations

from collections.abc import Mapping

from oris.core.commands import Want
from oris.core.limits import Limits
from oris.ids import TenantId


class Answers:
    """How many bytes the answers of polls may still take, for callers of each tenant; None: those bound to none.

    A tenant's own are counted twice: it has room as long as it holds less than is free, so nobody holds all of it.
    What a poll was granted before is never kept from it, and counts all the same.
    """

    __slots__ = ("_left",)

    def __init__(self, left: Mapping[TenantId | None, int] | None = None) -> None:
        """None: there is no bound."""
        self._left = None if left is None else dict(left)

    def have_room(self, tenant_id: TenantId | None) -> bool:
        """Whether a caller of this tenant may be granted something new."""
        return self._left is None or self._left[tenant_id] > 0

    def take(self, tenant_id: TenantId | None, size: int) -> None:
        """So much goes out to it."""
        if self._left is None:
            return
        for tenant in self._left:
            self._left[tenant] -= size
        if tenant_id is not None:
            self._left[tenant_id] -= size


class Room:
    """What this commit may still hand out."""

    __slots__ = ("_answers", "bytes_kept", "bytes_left", "grants_kept", "grants_left", "used")

    def __init__(self, limits: Limits, answers: Answers | None = None) -> None:
        self._answers = answers or Answers()
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

    def for_answers(self, want: Want) -> bool:
        """Whether what this poll is answered with may be new to it."""
        return self._answers.have_room(want.tenant_id)

    def take(self, want: Want, leases: int, size: int) -> None:
        """So much is handed out to this poll."""
        self._answers.take(want.tenant_id, size)
        self.used = True
        self.grants_left -= leases
        self.bytes_left -= size
