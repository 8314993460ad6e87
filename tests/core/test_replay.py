"""Replay, its guard, and the replay of dead letters."""

from __future__ import annotations

from typing import cast

import pytest
from msgspec.structs import replace

from oris import ids
from oris.core import commands as c
from oris.core import events as ev
from oris.core.limits import Limits
from oris.core.model import Job, RetryPolicy, sources_of
from oris.core.replay_checks import check_causes, check_replays, check_taken_over
from oris.core.replies import Refusal, Replayed
from oris.errors import ErrorCode
from oris.ids import RunId

from .world import TRACE, World, ack, key, reason, report, the

POLICY = RetryPolicy("fixed", 10, 2)


def finished(world: World, status: str = "completed") -> Job:
    """A run of two steps, each with a checkpoint, that has ended."""
    job = world.start("t", priority=7, workflow="pay", timeout_ms=60_000, metadata=b'{"a":"b"}', retry=POLICY)
    world.reported(job, "one", body=b'"first"', checkpoint=b'{"at":1}')
    world.reported(job, "two", body=b'"second"', checkpoint=b'{"at":2}')
    world.acked(job, status, body=b'{"type":"E","message":"m"}', retryable=False)
    return world.job("t")


def checkpoint_of_step(world: World, job: Job, action: str) -> str:
    """The checkpoint that was saved with a step."""
    return ids.checkpoint_id(job.run_id, world.reports(job.run_id, action)[0].checkpoint_seq)


def replayed(world: World, checkpoint: str | None = None) -> Job:
    """A replay that has to be accepted; its row."""
    reply = the(Replayed, world.replay("t", checkpoint))
    assert not reply.replay
    assert world.job("t").run_id == reply.run_id
    return world.job("t")


def letter_of(world: World, run: RunId) -> tuple[str, int, RunId | None]:
    letter = world.tables.dead_letters[run]
    return letter.replay_status, letter.replay_count, letter.replay_run_id


def run_named(reply: object) -> str:
    details = the(Refusal, reply).details
    assert details is not None
    return cast("str", details["run_id"])


def test_a_replay_of_the_latest_state_begins_with_all_that_its_source_had_come_to() -> None:
    world = World()
    source = finished(world)
    job = replayed(world)
    assert (job.status, job.attempt_no, job.retries, job.used_ms) == ("queued", 1, 0, 0)
    same = ("workflow", "priority", "timeout_ms", "metadata", "retry_policy", "input_seq", "checkpoint_seq")
    for name in (*same, "checkpoint_id", "handout_bytes", "checkpoint_bytes"):
        assert getattr(job, name) == getattr(source, name), name
    assert (job.replay_of, sources_of(job)) == (source.run_id, ((source.run_id, source.seq),))
    assert job.idempotency_key is None
    world.grant("t")
    assert world.events("t")[-3:] == ["run_created", "attempt_queued", "lease_granted"]


def test_a_replay_of_a_checkpoint_begins_there_with_the_steps_that_had_succeeded_by_then() -> None:
    world = World()
    source = finished(world)
    checkpoint = checkpoint_of_step(world, source, "one")
    job = replayed(world, checkpoint)
    assert job.checkpoint_id == checkpoint
    ((run, until_seq),) = sources_of(job)
    kept = [name for name in ("one", "two") if world.reports(run, name)[0].seq <= until_seq]
    assert kept == ["one"]
    assert job.handout_bytes == len(b'{"n":1}') + len(b'{"at":1}') + len(b'"first"')


def test_a_step_that_was_taken_over_is_final_and_one_after_the_checkpoint_is_done_again() -> None:
    world = World()
    source = finished(world)
    checkpoint = checkpoint_of_step(world, source, "one")
    replayed(world, checkpoint)
    job = world.grant("t")
    again = world.reported(job, "one", body=b'"first"', checkpoint=b'{"at":1}')
    assert (again.status, again.checkpoint_id) == ("reported_idempotent", checkpoint)
    assert reason(world.report(job, "one", token="another")) == "dedupe_mismatch"
    assert reason(world.report(job, "one", "started", token="another")) == "dedupe_mismatch"
    assert world.reported(job, "two", body=b'"again"').status == "reported"


def test_while_a_replay_is_active_the_same_is_in_progress_and_once_it_completed_it_is_answered_again() -> None:
    world = World()
    source = finished(world)
    checkpoint = checkpoint_of_step(world, source, "two")
    for named in (None, checkpoint):
        first = replayed(world, named)
        for _ in range(2):
            refused = world.replay("t", named)
            assert (reason(refused), run_named(refused)) == ("replay_in_progress", first.run_id)
            if world.job("t").status == "queued":
                world.grant("t")
        world.acked(world.job("t"), body=b'"done"')
        before = len(world.events("t"))
        again = the(Replayed, world.replay("t", named))
        assert (again.replay, again.run_id, again.status, again.checkpoint_id) == (
            True,
            first.run_id,
            "completed",
            first.checkpoint_id,
        )
        assert again.result_seq == world.job("t").result_seq
        assert len(world.events("t")) == before


def test_fifty_replays_of_one_target_in_one_commit_make_one_run() -> None:
    world = World()
    finished(world)
    replies = world.batch([c.Replay(key("t"), TRACE) for _ in range(50)])
    made, *refused = replies
    assert not the(Replayed, made).replay
    assert {reason(reply) for reply in refused} == {"replay_in_progress"}
    assert world.events("t").count("run_created") == 2


@pytest.mark.parametrize("end", ["failed", "cancelled"])
@pytest.mark.parametrize("at", ["state", "checkpoint"])
def test_a_replay_that_did_not_complete_frees_its_target_and_the_next_takes_its_steps_over(end: str, at: str) -> None:
    world = World()
    source = finished(world)
    checkpoint = checkpoint_of_step(world, source, "one") if at == "checkpoint" else None
    first = replayed(world, checkpoint)
    job = world.grant("t")
    world.reported(job, "three", body=b'"third"', checkpoint=b'{"at":3}')
    world.acked(job, end, retryable=False)
    second = replayed(world, checkpoint)
    assert second.replay_target == first.replay_target
    assert [run for run, _ in sources_of(second)] == [source.run_id, first.run_id]
    assert second.checkpoint_id == (checkpoint or world.tables.past_runs[first.run_id].checkpoint_id)
    job = world.grant("t")
    assert reason(world.report(job, "three", token="another")) == "dedupe_mismatch"
    world.acked(job)
    again = the(Replayed, world.replay("t", checkpoint))
    assert (again.replay, again.run_id) == (True, second.run_id)


def test_a_run_without_a_step_of_its_own_leaves_nothing_to_take_over() -> None:
    world = World()
    finished(world)
    for _ in range(3):
        replayed(world)
        world.acked(world.grant("t"), "failed", retryable=False)
    assert len(sources_of(replayed(world))) == 1


def test_a_completed_replay_that_is_named_is_a_state_of_its_own() -> None:
    world = World()
    source = finished(world)
    first = replayed(world)
    world.acked(world.grant("t"))
    again = the(Replayed, world.replay("t", run=source.run_id))
    assert (again.replay, again.run_id) == (True, first.run_id)
    second = the(Replayed, world.replay("t", run=first.run_id))
    assert not second.replay
    assert reason(world.replay("t", run=first.run_id)) == "replay_in_progress"
    assert reason(world.replay("t", run=source.run_id)) == "run_mismatch"


def test_a_thread_at_work_is_not_replayed_and_a_run_named_in_vain_is_a_mismatch() -> None:
    world = World()
    assert the(Refusal, world.replay("t")).code is ErrorCode.NOT_FOUND
    source = finished(world)
    other = RunId("run_" + "0" * 32)
    checkpoint = checkpoint_of_step(world, source, "one")
    for named in (None, checkpoint):
        assert reason(world.replay("t", named, other)) == "run_mismatch"
    world.submit("t")
    for named in (None, checkpoint):
        refused = world.replay("t", named)
        assert (reason(refused), run_named(refused)) == ("run_active", world.job("t").run_id)


def test_a_checkpoint_that_is_not_there_or_of_another_thread_is_not_found() -> None:
    world = World()
    source = finished(world)
    elsewhere = world.start("other")
    saved = world.reported(elsewhere, "one", checkpoint=b"1").checkpoint_id
    for named in (
        saved,
        ids.checkpoint_id(source.run_id, 1),
        ids.checkpoint_id(source.run_id, 10**9),
        ids.checkpoint_id(elsewhere.run_id, ids.checkpoint_of(checkpoint_of_step(world, source, "one"))[1]),  # type: ignore[index]
    ):
        assert the(Refusal, world.replay("t", named)).code is ErrorCode.NOT_FOUND


def test_new_replays_meet_admission_and_the_one_that_completed_is_answered_all_the_same() -> None:
    world = World(Limits(queue_max=1))
    finished(world)
    world.submit("waits")
    assert the(Refusal, world.replay("t")).code is ErrorCode.BACKPRESSURE
    world.grant("waits")
    replayed(world)
    world.acked(world.grant("t"))
    world.admission = Refusal(ErrorCode.UNAVAILABLE, "draining", {"reason": "draining"})
    assert the(Replayed, world.replay("t")).replay
    assert reason(world.replay("t", run=world.job("t").run_id)) == "draining"


def test_what_ends_with_the_deadline_of_the_very_replay_is_replayed_and_so_is_its_dead_letter() -> None:
    world = World()
    source = world.start("t", timeout_ms=100)
    world.later(100)
    job = replayed(world)
    assert job.replay_of == source.run_id
    assert letter_of(world, source.run_id) == ("replayed", 1, job.run_id)


def test_a_run_that_ends_and_is_replayed_in_one_commit_is_taken_over_whole() -> None:
    world = World()
    job = world.start("t")
    command = c.Replay(key("t"), TRACE)
    world.batch([report(job, "one", checkpoint=b"1"), ack(job, "failed"), command, command])
    row = world.job("t")
    assert (row.replay_of, row.checkpoint_run, row.checkpoint_seq > 0) == (job.run_id, job.run_id, True)
    assert [run for run, _ in sources_of(row)] == [job.run_id]
    assert letter_of(world, job.run_id) == ("replayed", 1, row.run_id)
    assert reason(world.replay("t")) == "replay_in_progress"


def test_a_dead_letter_is_replayed_with_a_fresh_budget() -> None:
    world = World()
    source = finished(world, "failed")
    assert letter_of(world, source.run_id) == ("pending", 0, None)
    reply = the(Replayed, world.replay_dead_letter("t", source.run_id))
    assert (reply.status, reply.replay_count) == ("queued", 1)
    assert letter_of(world, source.run_id) == ("replayed", 1, reply.run_id)
    assert (world.job("t").attempt_no, world.job("t").retries) == (1, 0)
    refused = world.replay_dead_letter("t", source.run_id)
    assert (reason(refused), run_named(refused)) == ("replay_in_progress", reply.run_id)
    assert reason(world.replay("t")) == "replay_in_progress"
    world.acked(world.grant("t"))
    refused = world.replay_dead_letter("t", source.run_id)
    assert (reason(refused), run_named(refused)) == ("already_replayed", reply.run_id)
    assert letter_of(world, source.run_id) == ("replayed", 1, reply.run_id)


def test_a_dead_letter_of_a_thread_at_work_stays_pending() -> None:
    world = World()
    source = finished(world, "failed")
    world.submit("t")
    assert reason(world.replay_dead_letter("t", source.run_id)) == "run_active"
    assert letter_of(world, source.run_id) == ("pending", 0, None)


def test_a_dead_letter_whose_replay_failed_goes_on_from_there() -> None:
    world = World()
    source = finished(world, "failed")
    first = the(Replayed, world.replay_dead_letter("t", source.run_id))
    job = world.grant("t")
    world.reported(job, "three")
    world.acked(job, "failed", retryable=False)
    second = the(Replayed, world.replay_dead_letter("t", source.run_id))
    assert second.replay_count == 2
    assert [run for run, _ in sources_of(world.job("t"))] == [source.run_id, first.run_id]
    assert letter_of(world, source.run_id) == ("replayed", 2, second.run_id)
    assert letter_of(world, first.run_id) == ("replayed", 1, second.run_id)
    world.acked(world.grant("t"))
    for dead in (source.run_id, first.run_id):
        refused = world.replay_dead_letter("t", dead)
        assert (reason(refused), run_named(refused)) == ("already_replayed", second.run_id)


def test_an_older_dead_letter_is_replayed_when_the_thread_has_gone_on() -> None:
    world = World()
    source = finished(world, "failed")
    world.start("t")
    world.acked(world.job("t"))
    reply = the(Replayed, world.replay_dead_letter("t", source.run_id))
    assert world.job("t").replay_of == source.run_id
    assert reply.checkpoint_id == source.checkpoint_id


def test_a_replay_of_a_failed_run_is_one_of_its_dead_letter_and_one_of_a_checkpoint_is_not() -> None:
    world = World()
    source = finished(world, "failed")
    replayed(world, checkpoint_of_step(world, source, "one"))
    assert letter_of(world, source.run_id)[0] == "pending"
    job = world.grant("t")
    world.acked(job, "failed", retryable=False)
    after = replayed(world)
    assert letter_of(world, job.run_id) == ("replayed", 1, after.run_id)


def test_what_is_no_dead_letter_is_not_replayed_as_one() -> None:
    world = World()
    source = finished(world)
    assert the(Refusal, world.replay_dead_letter("t", source.run_id)).code is ErrorCode.NOT_FOUND
    assert the(Refusal, world.replay_dead_letter("none", source.run_id)).code is ErrorCode.NOT_FOUND


def test_the_event_of_a_replay_names_what_it_goes_on_from() -> None:
    world = World()
    source = finished(world, "failed")
    world.replay_dead_letter("t", source.run_id)
    (_, made) = world.bodies("t", ev.RunCreated)
    assert made.replay is not None
    assert (made.replay.run_id, made.replay.until_seq) == (source.run_id, source.seq)
    assert (made.replay.dead_letter, made.replay.target[:13]) == (source.run_id, "latest_state:")
    assert made.input_bytes == 0


def test_the_checks_of_replays_find_what_is_wrong() -> None:
    world = World()
    source = finished(world)
    job = replayed(world)
    target = job.replay_target or ""
    runs = {source.run_id: source, job.run_id: job}
    assert [v.rule for v in check_replays(runs, {})] == ["I8"]
    claim = world.tables.claims[target]
    assert [v.rule for v in check_replays(runs, {target: replace(claim, run_id=source.run_id)})] == ["I8"]
    twin = replace(job, run_id=RunId("run_" + "0" * 32), status="completed")
    assert [v.rule for v in check_replays({**runs, twin.run_id: twin}, {target: claim})] == ["I23"]
    lost = {source.run_id: source, job.run_id: replace(job, replay_target=None)}
    assert [v.rule for v in check_causes(lost, {key("t"): world.entries("t")})] == ["I8"]
    made = [entry for entry in world.entries("t") if entry.event_type == "run_created"]
    assert [v.rule for v in check_causes(runs, {key("t"): [*made, made[0]]})] == ["I8"]
    assert [v.rule for v in check_causes(runs, {key("t"): made[1:]})] == ["I8"]
    steps = {source.run_id: list(world.tables.steps.values())}
    own = [replace(steps[source.run_id][0], run_id=job.run_id)]
    assert [v.rule for v in check_taken_over([job], {**steps, job.run_id: own})] == ["I10"]
    twice = replace(job, sources=b'[["%s",99],["%s",99]]' % (source.run_id.encode(), source.run_id.encode()))
    assert {v.rule for v in check_taken_over([twice], steps)} == {"I10"}
