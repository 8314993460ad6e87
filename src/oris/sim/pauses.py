"""How long a run has to wait before it is tried again: what docs/api.md says, written a second time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oris.core import events as ev


def pause_ms(losses: int) -> int:
    """What docs/api.md says of pauses after losses in a row, written a second time."""
    return 0 if losses < 2 else int(min(60, 2.0 ** (losses - 2)) * 1000)


def band_ms(policy: dict[str, Any], retry_no: int) -> tuple[int, int]:
    """What docs/api.md says of backoffs, written a second time."""
    base = policy["backoff_ms"]
    if policy["strategy"] == "fixed":
        return base, base
    most: float = base
    cap = policy.get("max_backoff_ms")
    for _ in range(retry_no - 1):
        most *= policy.get("multiplier", 2.0)
    return 0, int(most if cap is None else min(most, cap))


def wrong_retry(
    policy: dict[str, Any] | None, retry_no: int, body: ev.RetryScheduled, now_ms: int
) -> Iterator[tuple[str, str]]:
    """What is wrong with the so manieth retry of a run: the rule, and what breaks it."""
    if policy is None:
        yield "I6", "a retry without a policy"
        return
    if retry_no > policy["max_retries"] or body.retry_no != retry_no:
        yield "I6", f"retry {retry_no} of {policy['max_retries']}"
    least, most = band_ms(policy, retry_no)
    wait_ms = body.due_ms - now_ms
    if not least <= wait_ms <= most or body.backoff_ms != wait_ms:
        yield "I14", f"a backoff of {wait_ms} ms outside {least} to {most}"
