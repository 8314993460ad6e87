"""The bounds that decisions look at; the server sets them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from oris.core.hold import HoldRules
from oris.core.quarantine import QuarantineRules


class Limits(Struct, frozen=True):
    """The bounds that decisions look at; the server sets them."""

    max_lease_losses: int = 5
    queue_max: int = 100_000
    """Runs that are due and wait, beyond which new ones are refused."""
    tenant_queue_max: int = 50_000
    fairness: Literal["round_robin", "fifo"] = "round_robin"
    answer_max_bytes: int = 4 * 1024 * 1024
    quarantine: QuarantineRules = QuarantineRules()
    delayed_max: int = 1_000_000
    """Runs that wait for their time, beyond which further ones are refused."""
    tenant_delayed_max: int = 500_000
    commit_grants_max: int = 512
    """Leases that one commit hands out, to all polls together."""
    commit_bytes_max: int = 16 * 1024 * 1024
    """Bytes that it hands out with them, about; one attempt goes out whatever its size."""
    hold: HoldRules = HoldRules()
