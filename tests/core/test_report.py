from __future__ import annotations

import pytest

from oris.core import events as ev
from oris.core.replies import Refusal, Reported
from oris.errors import ErrorCode
from oris.ids import checkpoint_id

from .world import World, reason, report, the


def test_a_step_is_recorded_with_its_payload() -> None:
    world = World()
    job = world.start("t")
    assert world.reported(job, "charge", body=b'{"id":7}').status == "reported"
    (step,) = world.bodies("t", ev.StepRecorded)
    assert (step.action_id, step.status, step.payload_bytes) == ("charge", "succeeded", 8)
    assert world.tables.payloads[job.job_key, world.job("t").seq] == b'{"id":7}'


def test_the_same_token_with_the_same_payload_is_idempotent() -> None:
    world = World()
    job = world.start("t")
    first = world.reported(job, "a", token="x", checkpoint=b"{}")
    seq = world.job("t").seq
    again = world.reported(job, "a", token="x", checkpoint=b"{}")
    assert (again.status, again.checkpoint_id) == ("reported_idempotent", first.checkpoint_id)
    assert world.job("t").seq == seq


@pytest.mark.parametrize("other", [{"body": b"2"}, {"body": None}, {"checkpoint": b"{}"}])
def test_the_same_token_with_another_payload_is_refused(other: dict[str, bytes | None]) -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", token="x", body=b"1")
    assert reason(world.ask(report(job, "a", **{"token": "x", "body": b"1", **other}))) == "dedupe_mismatch"  # type: ignore[arg-type]
    assert len(world.bodies("t", ev.StepRecorded)) == 1


def test_a_token_is_unique_within_step_and_status_only() -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", "started", token="x", body=None)
    assert world.reported(job, "a", "succeeded", token="x").status == "reported"
    assert world.reported(job, "b", "succeeded", token="x", body=b"2").status == "reported"


def test_started_and_failed_may_be_followed_by_anything() -> None:
    world = World()
    job = world.start("t")
    for n, status in enumerate(("started", "failed", "started", "failed", "succeeded")):
        assert world.reported(job, "a", status, token=f"{n}").status == "reported"  # type: ignore[arg-type]
    rows = world.reports(job.run_id, "a")
    assert [row.status for row in rows if row.latest] == ["succeeded"]
    assert len(rows) == 5


@pytest.mark.parametrize("status", ["started", "failed", "succeeded"])
def test_what_succeeded_is_final(status: str) -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", token="x")
    assert reason(world.report(job, "a", status, token="y")) == "dedupe_mismatch"  # type: ignore[arg-type]


def test_an_older_report_repeated_after_success_changes_nothing() -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", "started", token="x")
    world.reported(job, "a", "succeeded", token="y")
    assert world.reported(job, "a", "started", token="x").status == "reported_idempotent"
    latest = [row for row in world.reports(job.run_id, "a") if row.latest]
    assert [row.status for row in latest] == ["succeeded"]


def test_a_step_outlives_the_lease_it_was_reported_under() -> None:
    world = World()
    first = world.start("t", ttl_ms=1_000)
    world.reported(first, "a", token="x")
    world.later(1_000)
    world.sweep("t")
    second = world.grant("t", "w2")
    assert world.reported(second, "a", token="x").status == "reported_idempotent"
    assert reason(world.report(first, "b")) == "lease_lost"


def test_a_checkpoint_is_named_after_its_event() -> None:
    world = World()
    job = world.start("t")
    reported = world.reported(job, "a", checkpoint=b'{"v":1}')
    row = world.job("t")
    assert reported.checkpoint_id == checkpoint_id(job.run_id, row.checkpoint_seq)
    assert world.tables.payloads[job.job_key, row.checkpoint_seq] == b'{"v":1}'
    assert world.events("t")[-2:] == ["step_recorded", "checkpoint_saved"]


def test_a_grant_carries_input_steps_and_the_newest_checkpoint() -> None:
    world = World()
    job = world.start("t", input=b"1234")
    world.reported(job, "a", body=b"12", checkpoint=b"123456")
    world.reported(job, "b", body=b"1", checkpoint=b"12345678")
    assert world.job("t").handout_bytes == 4 + 2 + 1 + 8


def test_a_new_run_starts_without_steps_and_checkpoint() -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", checkpoint=b"{}")
    world.acked(job)
    fresh = world.start("t")
    assert (fresh.checkpoint_seq, fresh.handout_bytes) == (0, len(b'{"n":1}'))
    assert world.reported(fresh, "a", token="other").status == "reported"


def test_another_attempts_id_is_a_bad_argument() -> None:
    world = World()
    job = world.start("t")
    refusal = the(Refusal, world.report(job, "a", attempt_id="att_" + "0" * 32))
    assert (refusal.code, refusal.details) == (ErrorCode.INVALID_ARGUMENT, {"field": "attempt_id"})


def test_another_workers_report_is_refused_and_told_nothing() -> None:
    world = World()
    job = world.start("t", "w1")
    assert the(Refusal, world.report(job, "a", worker="w2")).details == {"reason": "lease_lost"}
    world.acked(job)
    assert the(Refusal, world.report(job, "a", worker="w2")).details == {"reason": "lease_lost"}
    assert the(Refusal, world.report(job, "a")).details == {"reason": "lease_lost", "state": "closed"}


def test_two_equal_reports_in_one_batch_are_recorded_once() -> None:
    world = World()
    job = world.start("t")
    replies = world.batch([report(job, "a"), report(job, "a")])
    assert [the(Reported, reply).status for reply in replies] == ["reported", "reported_idempotent"]
    assert len(world.bodies("t", ev.StepRecorded)) == 1
