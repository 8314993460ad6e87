"""How long a run has to wait before it is tried again: what the contract says, said again."""

from __future__ import annotations

from typing import Any


def pause_ms(losses: int) -> int:
    """What the contract says of pauses after losses in a row, said again."""
    return 0 if losses < 2 else int(min(60, 2.0 ** (losses - 2)) * 1000)


def band_ms(policy: dict[str, Any], retry_no: int) -> tuple[int, int]:
    """What the contract says of backoffs, said again."""
    base = policy["backoff_ms"]
    if policy["strategy"] == "fixed":
        return base, base
    most: float = base
    cap = policy.get("max_backoff_ms")
    for _ in range(retry_no - 1):
        most *= policy.get("multiplier", 2.0)
    return 0, int(most if cap is None else min(most, cap))
