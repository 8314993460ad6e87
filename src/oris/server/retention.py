"""How long things are kept: from what operators set, in days, to the engine's rules."""

from __future__ import annotations

from oris.config.settings import Settings
from oris.core.audit_anchor import AnchorKey
from oris.engine.retention import RetentionRules

DAY_MS = 86_400_000


def retention_status(rules: RetentionRules) -> dict[str, object]:
    """What is in force, for the status page."""
    return {"days": rules.runs_ms // DAY_MS, "audit_days": rules.audit_ms // DAY_MS, "hold": rules.hold}


def retention_rules(settings: Settings) -> RetentionRules:
    """The engine's rules."""
    key = settings.audit_anchor_key
    return RetentionRules(
        runs_ms=settings.retention_days * DAY_MS,
        audit_ms=settings.audit_retention_days * DAY_MS,
        anchor_key=None if key is None else AnchorKey(key.reveal()),
        hold=settings.retention_hold,
    )
