"""Bugs of several nodes on one store: each is planted, and the simulator has to find it."""

from __future__ import annotations

from typing import Any

import pytest

from oris.core.needs import Needs
from oris.engine.batch import Batch
from oris.engine.cluster import Cluster
from oris.engine.committer import Committer
from oris.engine.demand import Demand
from oris.engine.retention import RetentionRules
from oris.storage.reads.cluster import Glance

from .planting import Bug, Patch, assert_found, bug, keep, module, name_of

SEEDS = 60


def nobody_looks_without_a_hint(patch: Patch) -> None:
    async def nothing(self: Cluster) -> None: ...

    patch.setattr(Cluster, "_everywhere", lambda self: Glance())
    patch.setattr(Cluster, "look_for_lanes", nothing)


def a_lane_that_was_not_read_is_taken_for_empty(patch: Patch) -> None:
    real = Demand.take

    def take(self: Demand, *args: Any) -> Any:
        self._is_shared = False
        return real(self, *args)

    patch.setattr(Demand, "take", take)
    patch.setattr(Demand, "may_hold_work", lambda self, lane: lane in self._work)


def a_node_goes_by_the_switches_that_it_remembers(patch: Patch) -> None:
    real = Batch.needs

    def needs(self: Batch, *args: Any) -> Needs:
        found = real(self, *args)
        found.modes = set()
        return found

    patch.setattr(Batch, "needs", needs)


def a_node_writes_the_counters_that_it_remembers(patch: Patch) -> None:
    sql = module("storage.sqlite.statements")
    patch.setattr(sql, "WRITE_NODE", sql.WRITE_NODE.replace("waiting = waiting + excluded", "waiting = excluded"))


def a_node_counts_only_what_it_has_accepted_itself(patch: Patch) -> None:
    for name in ("statements", "snapshot"):
        sql = module(f"storage.sqlite.{name}")
        patch.setattr(sql, "TOTAL", sql.TOTAL + " WHERE name = 'sim:1'")


def all_nodes_write_one_chain(patch: Patch) -> None:
    real = Committer._prepare

    async def prepare(self: Committer) -> None:
        await real(self)
        self._chain_id = "chn_" + "0" * 32

    patch.setattr(Committer, "_prepare", prepare)


BUGS = [
    bug(nobody_looks_without_a_hint, "L2", "I22"),
    bug(a_lane_that_was_not_read_is_taken_for_empty, "I22"),
    bug(a_node_goes_by_the_switches_that_it_remembers, "mode"),
    bug(a_node_writes_the_counters_that_it_remembers, "I20"),
    bug(a_node_counts_only_what_it_has_accepted_itself, "I20"),
    bug(all_nodes_write_one_chain, "I17", "bug"),
]


@pytest.mark.parametrize("planted", BUGS, ids=name_of)
def test_a_bug_planted_into_a_node_among_others_is_found(planted: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(RetentionRules(), monkeypatch)
    monkeypatch.setattr(module("sim.run"), "_nodes", lambda streams: 2)
    assert_found(planted, monkeypatch, SEEDS)
