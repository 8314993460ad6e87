"""How long to wait before the next try."""

from __future__ import annotations

from typing import assert_never

from oris.core.model import RetryPolicy

FIRST_LOSS_PAUSE_MS = 1000
LONGEST_LOSS_PAUSE_MS = 60_000
LONGEST_BACKOFF_MS = 30 * 24 * 3600 * 1000
"""Thirty days: what an uncapped exponential policy comes to in the end."""


def band(policy: RetryPolicy, retry_no: int) -> tuple[int, int]:
    """The least and the most that the backoff before retry `retry_no` (from 1) may be, in ms."""
    cap = LONGEST_BACKOFF_MS if policy.max_backoff_ms is None else policy.max_backoff_ms
    match policy.strategy:
        case "fixed":
            fixed = min(cap, policy.backoff_ms)
            return fixed, fixed
        case "exponential":
            return 0, _grown(policy, retry_no, cap)
        case _:
            assert_never(policy.strategy)


def _grown(policy: RetryPolicy, retry_no: int, cap: int) -> int:
    """The exponential backoff without jitter, in ms, at most `cap`."""
    try:
        return int(min(float(cap), policy.backoff_ms * policy.multiplier ** (retry_no - 1)))
    except OverflowError:
        return cap if policy.backoff_ms else 0


def backoff_ms(policy: RetryPolicy, retry_no: int, fraction: float) -> int:
    """The backoff, in ms. Exponential policies draw it from the whole band ("full jitter", Brooker 2015)."""
    least, most = band(policy, retry_no)
    return least + int((most - least) * fraction)


def loss_pause_ms(losses: int) -> int:
    """How long a run that has lost so many leases in a row stands back: not at all after the first, then longer."""
    if losses < 2:
        return 0
    return min(LONGEST_LOSS_PAUSE_MS, FIRST_LOSS_PAUSE_MS << min(losses - 2, 16))
