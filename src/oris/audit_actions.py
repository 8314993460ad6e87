"""What the audit trail records. A route names its action; handlers take it from there.

The store keeps these words, and `GET /v1/audit/logs` finds by them: one that was ever written is never renamed.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

ControlAction: TypeAlias = Literal[
    "job.run",
    "job.batch",
    "job.resume",
    "job.replay",
    "job.cancel",
    "interrupt.resume",
    "interrupt.reject",
    "dlq.replay",
    "worker.clear_quarantine",
    "workflow.clear_hold",
    "apikey.create",
    "apikey.revoke",
    "admin.mode",
]
"""What people and programs do."""
AuditAction: TypeAlias = Literal[ControlAction, "chain.open"]
"""Everything in the trail: also the record that opens a chain, which is found with `category=all`."""
OPENING: Final = "chain.open"
"""A chain's first record, which holds the heads of the chains before it."""
