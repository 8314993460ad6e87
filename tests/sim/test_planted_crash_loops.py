"""Bugs planted into what keeps a crash loop from killing its jobs: each is found within a few seeds that have one."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oris.core.facts import Facts
from oris.engine.demand import Demand
from oris.engine.retention import RetentionRules

from .planting import Bug, Patch, assert_found, bug, keep, module, name_of

SEEDS = 120
"""Within so many seeds a planted bug has to be found: some need a job that has lost most of its leases already."""


def a_job_that_kills_its_worker_is_offered_again_at_once(patch: Patch) -> None:
    patch.setattr(module("core.retry"), "loss_pause_ms", lambda losses: 0)


def the_pause_after_losses_does_not_grow(patch: Patch) -> None:
    patch.setattr(module("core.retry"), "loss_pause_ms", lambda losses: 1000 if losses > 1 else 0)


def each_loss_of_a_run_is_an_incident(patch: Patch) -> None:
    facts = module("core.facts")
    real = facts.with_loss

    def with_loss(worker: Any, job: Any, now_ms: int, rules: Any) -> Any:
        return real(worker, replace(job, run_id=f"{job.run_id}-{now_ms}"), now_ms, rules)

    patch.setattr(facts, "with_loss", with_loss)


def a_dead_letter_takes_no_incident_back(patch: Patch) -> None:
    patch.setattr(module("core.facts"), "taken_back", lambda worker, run, rules: worker)


def only_the_last_worker_is_not_to_blame(patch: Patch) -> None:
    patch.setattr(module("storage.sqlite.load"), "_lost_by", lambda connection, lease: set())


def a_probe_that_is_lost_is_an_incident(patch: Patch) -> None:
    facts = module("core.facts")

    def spared(worker: Any, job: Any, rules: Any) -> Any:
        return facts.with_loss(worker, replace(job, run_id="probe"), job.lease_granted_ms + 1000, rules)

    patch.setattr(facts, "spared", spared)


def a_crash_loop_holds_nothing(patch: Patch) -> None:
    facts = module("core.facts")
    real = facts.after_loss

    def after_loss(hold: Any, job: Any, now_ms: int, rules: Any) -> Any:
        return real(hold, job, now_ms, replace(rules, losses=10**6))

    patch.setattr(facts, "after_loss", after_loss)


def one_death_is_a_crash_loop(patch: Patch) -> None:
    facts = module("core.facts")
    real = facts.after_loss
    patch.setattr(
        facts, "after_loss", lambda hold, job, now_ms, rules: real(hold, job, now_ms, replace(rules, again=0))
    )


def a_held_workflow_is_given_out_as_ever(patch: Patch) -> None:
    patch.setattr(Facts, "held", lambda self, lane: None)


def two_probes_go_out(patch: Patch) -> None:
    patch.setattr(Facts, "probe_granted", lambda self, job: None)


def a_probe_goes_out_without_a_pause(patch: Patch) -> None:
    for name in ("core.dispatch", "engine.publish"):
        patch.setattr(module(name), "may_probe", lambda hold, now_ms: hold.probe is None)


def the_first_job_is_probed_again_and_again(patch: Patch) -> None:
    patch.setattr(module("core.dispatch"), "lost_least", lambda job: job.order)


def only_the_wanted_heads_of_a_held_lane_are_read(patch: Patch) -> None:
    patch.setattr(module("storage.sqlite.load"), "PROBE_HEADS", 1)


def a_probe_that_is_lost_kills_its_job(patch: Patch) -> None:
    patch.setattr(module("core.hold"), "spares", lambda hold, now_ms, rules: False)


def a_normal_close_does_not_end_the_hold(patch: Patch) -> None:
    patch.setattr(Facts, "_unhold", lambda self, lane: None)


def a_probe_that_is_taken_away_stays_the_probe(patch: Patch) -> None:
    patch.setattr(module("core.facts"), "after_taken", lambda hold, lease_id: hold)


def a_restart_forgets_the_hold(patch: Patch) -> None:
    patch.setattr(module("storage.sqlite.write"), "_write_holds", lambda connection, holds: None)


def nobody_wakes_for_the_next_probe(patch: Patch) -> None:
    patch.setattr(Demand, "holds_over", lambda self, now_ms: None)
    patch.setattr(Demand, "next_probe_ms", lambda self: None)


def the_end_of_a_hold_wakes_nobody(patch: Patch) -> None:
    real = Demand.unhold

    def unhold(self: Demand, lane: Any) -> None:
        if self._held.get(lane, 1) is not None:
            real(self, lane)

    patch.setattr(Demand, "unhold", unhold)


BUGS = [
    bug(a_job_that_kills_its_worker_is_offered_again_at_once, "I14"),
    bug(the_pause_after_losses_does_not_grow, "I14"),
    bug(each_loss_of_a_run_is_an_incident, "I20"),
    bug(a_dead_letter_takes_no_incident_back, "I20"),
    bug(only_the_last_worker_is_not_to_blame, "I20"),
    bug(a_probe_that_is_lost_is_an_incident, "I20"),
    bug(a_crash_loop_holds_nothing, "hold"),
    bug(one_death_is_a_crash_loop, "hold"),
    bug(a_held_workflow_is_given_out_as_ever, "hold"),
    bug(two_probes_go_out, "hold"),
    bug(a_probe_goes_out_without_a_pause, "hold"),
    bug(the_first_job_is_probed_again_and_again, "hold"),
    bug(only_the_wanted_heads_of_a_held_lane_are_read, "hold"),
    bug(a_probe_that_is_lost_kills_its_job, "hold", "I6", seed=63),
    bug(a_normal_close_does_not_end_the_hold, "hold"),
    bug(a_probe_that_is_taken_away_stays_the_probe, "hold", "I20", "L2"),
    bug(a_restart_forgets_the_hold, "hold"),
    bug(nobody_wakes_for_the_next_probe, "L2", "L1"),
    bug(the_end_of_a_hold_wakes_nobody, "L2", "L1"),
]


@pytest.mark.parametrize("planted", BUGS, ids=name_of)
def test_a_planted_bug_is_found(planted: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(RetentionRules(), monkeypatch)
    monkeypatch.setattr(module("sim.run"), "CRASH_LOOPS", 1.0)
    assert_found(planted, monkeypatch, SEEDS)
