"""The targets for latency (docs/benchmarks.md), and whether they are met."""

from __future__ import annotations

from bench.latency import Latencies

DISPATCH_P95_MS = 250.0
RECOVERY_P95_MS = 1000.0


def missed(latencies: Latencies) -> list[str]:
    """The targets that are not met, in words."""
    found = []
    for name, p95_ms, limit_ms in (
        ("dispatch", latencies.dispatch.p95_ms, DISPATCH_P95_MS),
        ("recovery after the expiry of a lease", latencies.recovery.p95_ms, RECOVERY_P95_MS),
    ):
        if p95_ms >= limit_ms:
            found.append(f"{name}: p95 {p95_ms:.1f} ms, the target is under {limit_ms:.0f} ms")
    return found
