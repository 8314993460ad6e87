"""A hundred seeds: nothing is violated, and everything that can happen does happen somewhere."""

from __future__ import annotations

import pytest

from oris.core.events import Body
from oris.sim import Outcome, simulate
from oris.sim.faults import RATES
from oris.sim.outcome import summary

STATUSES = ("scheduled", "queued", "running", "retry_backoff", "completed", "failed", "cancelled")
REFUSALS = (
    *("Submit run_active", "Submit idempotency_mismatch", "Submit queue_full", "Submit tenant_queue_full"),
    *("Cancel run_mismatch", "Cancel run_terminal"),
    *("Ack lease_lost", "ReportStep lease_lost", "ReportStep dedupe_mismatch", "Release lease_lost"),
    *("Heartbeat lease_lost", "Heartbeat lease_owner_mismatch"),
    *("Replay replay_in_progress", "Replay run_active", "Replay run_mismatch"),
    *("ReplayDeadLetter replay_in_progress", "ReplayDeadLetter run_active", "ReplayDeadLetter already_replayed"),
)
ELSE = (
    *("failed failed", "failed retries_exhausted", "failed lease_losses", "failed timed_out"),
    *("control cancel", "control lost", "control timed_out", "redelivered", "idempotent replay"),
    *("repeated Acked", "repeated Released", "step reported_idempotent", "died in a commit"),
    *("heartbeat held", "heartbeat lost", "heartbeat cancelled", "heartbeat timed_out"),
    *("poll noop", "poll backpressure worker_limit", "poll backpressure tenant_limit"),
    *("admission level 1", "client got 429 rate_limited"),
    *("admission level 3", "client got 503 store_unavailable", "refused at the gate store_unavailable"),
    *("replay of checkpoint", "replay of latest_state", "replay goes on", "replay answered again"),
    "clock jumped",
    *("thread pruned", "thread pruned in part", "pruned run erased", "worker forgotten", "audit chain cut"),
    "retention passed",
    "poll doubled in one commit",
    *("client got 409 ambiguous_thread", "client got 404 not_found"),
    *("follower got 200", "follower got 204", "stream ended"),
    *("worker got 503 inbox_full", "worker got 503 outcome_unknown", "worker got 503 store_unavailable"),
)


def test_no_invariant_is_violated(outcomes: list[Outcome]) -> None:
    assert [(outcome.command, outcome.violations) for outcome in outcomes if outcome.violations] == []


def test_every_kind_of_fault_strikes(outcomes: list[Outcome]) -> None:
    assert RATES.keys() - summary(outcomes).faults.keys() == set()


def test_every_status_and_every_event_is_seen(outcomes: list[Outcome]) -> None:
    seen = summary(outcomes).sometimes
    assert {f"status {status}" for status in STATUSES} - seen.keys() == set()
    assert {f"event {body.__struct_config__.tag}" for body in Body.__args__} - seen.keys() == set()


def test_every_common_refusal_and_turn_is_seen(outcomes: list[Outcome]) -> None:
    seen = summary(outcomes).sometimes
    assert {*(f"refused {refusal}" for refusal in REFUSALS), *ELSE} - seen.keys() == set()


def test_every_run_is_long_enough_to_tell_something(outcomes: list[Outcome]) -> None:
    assert min(outcome.runs for outcome in outcomes) >= 5
    assert summary(outcomes).restarts >= 100


@pytest.mark.parametrize(
    "seed",
    [
        10_020_091,  # a commit could give out one lease: work that waits for the next one is not late
        10_020_812,
        10_020_963,  # the jobs of a crash loop were accepted when the simulation believed that all was over
        10_042_051,  # a session was replaced in the millisecond of its last grant: two incidents for one end
        10_043_078,
        10_070_575,  # a poll id got a lease again whose worker's time to end a cancelled run was over
        10_071_483,
        10_080_864,
        10_097_398,  # half of a batch that had failed was decided after a commit that had queued older work
        10_099_759,
        10_113_625,  # a held workflow's next probe was cancelled with the poll, and one that had lost more was probed
        10_125_469,  # a commit took long and nobody knew how it ended: to the server the outage began with it
        10_137_790,  # a lease older than a forgiven incident was lost with others: it is in none, and may be one later
        10_149_281,  # all connections were cut under a server whose next one had a clock that stood before that
        10_330_047,  # a node knew of a deadline, and died: another one finds it within the bound for several nodes
        10_330_055,
        10_330_127,
        10_330_128,
        10_330_332,
        10_330_388,
        10_309_901,  # a wait whose kind is written with escapes, beside a number written as a float
    ],
)
def test_a_seed_that_failed_holds(seed: int) -> None:
    assert simulate(seed).violations == ()
