"""What a node has to learn of the store before it can commit, and again when it is not sure any more."""

from __future__ import annotations

from oris.core.model import Lane
from oris.engine.demand import Demand
from oris.storage.reads.cluster import ClusterReads

LANES_AT_ONCE = 1000
"""Lanes that are learnt in one read."""


async def learn_lanes(demand: Demand, reads: ClusterReads) -> None:
    """Learn which lanes have work: all of them, page by page, however many they are. Raises StoreError.

    Cancelled, it has learnt some of them.
    """
    demand.look_again()
    after: Lane | None = None
    while True:
        lanes = await reads.lanes(LANES_AT_ONCE, after)
        demand.learn(lanes)
        if len(lanes) < LANES_AT_ONCE:
            return
        after = lanes[-1]
