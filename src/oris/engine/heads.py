"""How many jobs to read of the heads of lanes: as many as the polls to be served could take, within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from oris.core.commands import Want
from oris.core.model import Lane
from oris.engine.lines import Wish, wishes, wishes_of

MAX_HEADS = 512
"""Heads that are read of one lane."""
ALL_HEADS = 1024
"""Heads that are read of all lanes, about: of many lanes fewer each."""


def heads_of(lanes: Sequence[Lane], wants: Iterable[Want], all_heads: int) -> dict[Lane, int]:
    """How many jobs of each lane to read; lanes of which none are wanted are left out."""
    asked: Counter[Wish] = Counter()
    for want in wants if lanes else ():
        if want.threads is None:
            for wish in wishes(want):
                asked[wish] += want.limit
    most = min(MAX_HEADS, max(1, all_heads // max(1, len(lanes))))
    heads = {lane: min(most, sum(asked[wish] for wish in wishes_of(lane))) for lane in lanes}
    return {lane: number for lane, number in heads.items() if number}
