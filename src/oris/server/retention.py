"""How long things are kept: from what operators set, in days, to the engine's rules."""

from __future__ import annotations

from oris.config.settings import Settings
from oris.core.audit_anchor import AnchorKey
from oris.engine.retention import Retention, RetentionRules
from oris.observability.logs import Logs

DAY_MS = 86_400_000
GAP_MS = DAY_MS
WAIT_MS = 3_600_000


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


def mind_gap(retention: Retention, now_ms: int, high_water_ms: int, logs: Logs) -> None:
    """Where the database was last written more than a day ago, by the clock, this may be the clock's mistake: before
    anything goes for it there is an hour to notice.
    """
    gap_ms = now_ms - high_water_ms
    if high_water_ms and gap_ms > GAP_MS:
        retention.wait(WAIT_MS)
        logs.get("oris.server").warning("retention_waits", gap_ms=gap_ms, wait_ms=WAIT_MS)
