"""What is counted: of a tenant, of a node, of the whole store."""

from __future__ import annotations

from msgspec import Struct

from oris.ids import TenantId


class Tenant(Struct, frozen=True):
    """What limits and fairness need to know of a tenant. `served` rises with every grant to it."""

    tenant_id: TenantId
    waiting: int
    """Its runs that wait for a worker, now or later."""
    leased: int
    served: int
    delayed: int = 0
    """Those of the waiting ones that are not due yet."""

    @property
    def due(self) -> int:
        """Those that could run now."""
        return self.waiting - self.delayed


class Counts(Struct, frozen=True):
    """How many runs wait for a worker, now or later, how many of those for their time, and how many are held."""

    waiting: int = 0
    delayed: int = 0
    leased: int = 0

    @property
    def due(self) -> int:
        """Those that could run now."""
        return self.waiting - self.delayed

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.waiting + other.waiting, self.delayed + other.delayed, self.leased + other.leased)
