"""Retention: which runs go, what goes with them, and what a thread is afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oris import ids
from oris.core import commands as c
from oris.core.audit import Audit, AuditHead, AuditRecord, record
from oris.core.audit_anchor import AnchorKey, AuditAnchor, Uncut, cut
from oris.core.decide import decide
from oris.core.facts import Facts
from oris.core.limits import Limits
from oris.core.model import Job
from oris.core.needs import Loaded
from oris.core.old import Cut
from oris.core.replies import Forgotten, Refusal, Replayed, RunsPruned, SessionOpened, Settled, Submitted
from oris.core.retention import Found, may_go
from oris.core.stamp import Stamp
from oris.errors import ErrorCode
from oris.ids import RunId
from oris.storage.memory.reads.retention import oldest_runs

from .world import World, key, submit, the, worker_key

WINDOW = 16


def looked(world: World, thread: str = "t", page: int = WINDOW, before_ms: int | None = None) -> Found:
    """What may go of what was over by now, or before another time: as many pages as it takes to find something."""
    at_ms, found = world.now_ms if before_ms is None else before_ms, None
    while found is None or (found.cut is None and found.after is not None):
        after = 0 if found is None else found.after or 0
        found = may_go(found, oldest_runs(world.tables, key(thread), after, page), at_ms)
        assert found is not None
    return found


def pruning(world: World, thread: str = "t", page: int = WINDOW, before_ms: int | None = None) -> c.Prune:
    """The command that lets go what may go."""
    return c.Prune(key(thread), the(Cut, looked(world, thread, page, before_ms).cut))


def prune(world: World, thread: str = "t", page: int = WINDOW, before_ms: int | None = None) -> int:
    """How many runs were let go."""
    if looked(world, thread, page, before_ms).cut is None:
        return 0
    return the(RunsPruned, world.ask(pruning(world, thread, page, before_ms))).count


def ended(world: World, thread: str = "t", status: str = "completed", **said: object) -> Job:
    """A run with a step and a checkpoint that has ended a second ago."""
    job = world.start(thread, **said)  # type: ignore[arg-type]
    world.reported(job, "one", body=b'"first"', checkpoint=b'{"at":1}')
    world.acked(job, status, retryable=False)
    over = world.job(thread)
    world.later(1000)
    return over


def names(world: World, thread: str = "t") -> list[RunId]:
    """The runs of a thread that are kept, the oldest first."""
    job = world.job(thread)
    past = sorted((run for run in world.tables.past_runs.values() if run.job_key == key(thread)), key=lambda r: r.seq)
    return [run.run_id for run in past] + ([] if job.is_pruned else [job.run_id])


def erase(world: World) -> None:
    """Delete all that pruned runs have left."""
    for run_id in list(world.tables.pruned_runs):
        assert world.ask(c.Erase(run_id, 100, 100)) == Forgotten(1)


def is_not_found(reply: object) -> bool:
    return the(Refusal, reply).code is ErrorCode.NOT_FOUND


def test_runs_go_whole_and_the_oldest_first() -> None:
    world = World()
    runs = [ended(world) for _ in range(3)]
    assert prune(world, before_ms=runs[1].updated_ms) == 1
    assert names(world) == [run.run_id for run in runs[1:]]
    job = world.job("t")
    assert (job.pruned_seq, job.pruned_hash, job.pruned_runs) == (runs[0].seq, runs[0].head_hash, 1)
    erase(world)
    assert world.entries("t")[0].seq == runs[0].seq + 1


@pytest.mark.parametrize("age_ms", [-1, 0, 1])
def test_a_run_goes_when_it_was_over_before_the_time_and_not_at_it(age_ms: int) -> None:
    world = World()
    job = ended(world)
    assert prune(world, before_ms=job.updated_ms + age_ms) == (1 if age_ms > 0 else 0)


def test_a_run_that_is_not_over_stays_however_old() -> None:
    world = World()
    ended(world)
    running = world.start("t", ttl_ms=3_600_000)
    world.later(3_500_000)
    assert prune(world) == 1
    assert world.job("t").run_id == running.run_id
    world.reported(world.job("t"), "late")
    world.acked(world.job("t"))


def test_a_thread_with_a_deadline_that_is_due_is_left_until_that_was_applied() -> None:
    world = World()
    ended(world)
    world.start("t", ttl_ms=1000)
    world.later(2000)
    assert prune(world) == 0
    world.sweep("t")
    assert prune(world) == 1
    world.cancelled("t")


def test_a_thread_of_which_nothing_is_kept_is_not_there_and_goes_on_where_it_was() -> None:
    world = World()
    before = ended(world, metadata=b'{"name":"ann"}', idempotency_key="k")
    assert prune(world) == 1
    anchor = world.job("t")
    assert anchor.is_pruned
    assert (anchor.metadata, anchor.idempotency_key, anchor.reason, anchor.traceparent) == (None, None, None, "")
    for gone in (
        world.cancel("t"),
        world.replay("t"),
        world.replay_dead_letter("t", before.run_id),
        world.ask(c.ResumeThread(key("t"), b"1", "ann")),
    ):
        assert is_not_found(gone)
    assert prune(world) == 0
    job = world.start("t")
    assert (job.pruned_seq, job.pruned_hash) == (before.seq, before.head_hash)
    assert job.fence > before.fence
    assert names(world) == [job.run_id]
    erase(world)
    assert world.entries("t")[0].seq == before.seq + 1
    world.acked(job)


def test_the_fence_of_a_run_that_was_never_granted_is_the_one_before_the_cut() -> None:
    world = World()
    before = ended(world)
    the(Submitted, world.submit("t"))
    world.cancelled("t")
    world.later(1000)
    assert prune(world, before_ms=before.updated_ms + 1) == 1
    assert world.job("t").fence == world.job("t").pruned_fence == before.fence


def test_an_idempotency_key_goes_with_its_run_and_may_be_bound_again() -> None:
    world = World()
    first = ended(world, idempotency_key="k")
    assert the(Submitted, world.submit("t", idempotency_key="k")).run_id == first.run_id
    # In one commit, so that nobody is told of a run that is going.
    pruned, again = world.batch([pruning(world), submit("t", idempotency_key="k")])
    assert the(RunsPruned, pruned).count == 1
    assert not the(Submitted, again).replay
    assert world.tables.idempotent[ids.idempotency_key(ids.NO_TENANT, "k")].run_id != first.run_id
    erase(world)
    assert the(Submitted, world.submit("t", idempotency_key="k")).replay


def test_a_dead_letter_that_nobody_has_replayed_stays_and_so_do_all_runs_after_it() -> None:
    world = World()
    first, dead, last = ended(world), ended(world, status="failed"), ended(world)
    assert prune(world) == 1
    assert names(world) == [dead.run_id, last.run_id]
    assert first.run_id not in world.tables.past_runs
    assert world.tables.dead_letters.keys() == {dead.run_id}
    assert prune(world) == 0


def test_what_a_kept_replay_goes_on_from_stays_until_the_replay_goes() -> None:
    world = World()
    source = ended(world, status="failed")
    the(Replayed, world.replay("t"))
    replay = world.grant("t")
    world.acked(replay)
    replay = world.job("t")
    assert prune(world, before_ms=replay.updated_ms) == 0
    assert names(world) == [source.run_id, replay.run_id]
    # Its answer is kept as long as it is: the target completes once.
    assert the(Replayed, world.replay("t")).run_id == replay.run_id
    world.later(1)
    assert prune(world) == 2
    assert (world.tables.claims, world.tables.dead_letters) == ({}, {})
    assert is_not_found(world.replay("t"))


def test_a_line_of_replays_goes_as_a_whole_or_not_at_all() -> None:
    world = World()
    line = [ended(world, status="failed")]
    for status in ("failed", "failed", "completed"):
        the(Replayed, world.replay("t"))
        world.acked(world.grant("t"), status, retryable=False)
        line.append(world.job("t"))
        world.later(1000)
    after = ended(world)
    assert prune(world, before_ms=line[-1].updated_ms) == 0
    assert prune(world, before_ms=after.updated_ms) == 4
    assert names(world) == [after.run_id]


def test_no_more_runs_go_at_once_than_are_looked_at() -> None:
    world = World()
    runs = [ended(world) for _ in range(5)]
    for _ in ("two", "four"):
        assert looked(world, page=2).after is not None
        assert prune(world, page=2) == 2
    assert names(world) == [runs[-1].run_id]
    assert prune(world, page=2) == 1
    assert world.job("t").pruned_runs == 5


@pytest.mark.parametrize("size", range(1, 12))
def test_what_may_go_does_not_hang_on_the_size_of_the_pages(size: int) -> None:
    world = World()
    ended(world)
    line = [ended(world, status="failed") for _ in range(2)]
    for failed in (line[1], line[0]):
        the(Replayed, world.replay_dead_letter("t", failed.run_id))
        world.acked(world.grant("t"))
        line.append(world.job("t"))
        world.later(1000)
    runs = [*names(world), *(ended(world).run_id for _ in range(2))]
    found, kept = None, world.job("t")
    while found is None or found.after is not None:
        after = 0 if found is None else found.after or 0
        found = may_go(found, oldest_runs(world.tables, key("t"), after, size), kept.updated_ms)
        assert found is not None
    assert found.ripe == tuple(runs[:-1])
    cut = the(Cut, found.cut)
    assert (cut.run_ids, cut.seq) == (tuple(runs[:-1]), world.tables.past_runs[runs[-2]].seq)
    # The first replay of all goes on from the first dead letter: what is between goes with it or not at all.
    before_ms = line[-1].updated_ms
    found = looked(world, page=size, before_ms=before_ms)
    assert the(Cut, found.cut).run_ids == tuple(runs[:1])


def a_new_run(world: World) -> None:
    the(Submitted, world.submit("t"))


def a_replay(world: World) -> None:
    the(Replayed, world.replay("t"))


def a_pruning(world: World) -> None:
    assert prune(world, page=1) == 1


MOVES = [a_new_run, a_replay, a_pruning]


@pytest.mark.parametrize("move", MOVES)
def test_a_thread_that_has_moved_since_it_was_looked_at_is_left_alone(move: Callable[[World], None]) -> None:
    world = World()
    for _ in range(3):
        ended(world)
    command = pruning(world)
    move(world)
    before = names(world)
    assert world.ask(command) == RunsPruned(0)
    assert names(world) == before


@pytest.mark.parametrize("move", MOVES)
def test_a_thread_that_moves_between_two_pages_is_read_from_the_beginning(move: Callable[[World], None]) -> None:
    world = World()
    for _ in range(3):
        ended(world)
    first = oldest_runs(world.tables, key("t"), 0, 2)
    found = may_go(None, first, world.now_ms)
    move(world)
    assert may_go(found, oldest_runs(world.tables, key("t"), first.after or 0, 2), world.now_ms) is None


def test_what_the_latest_run_does_meanwhile_keeps_nothing() -> None:
    world = World()
    ended(world)
    running = world.start("t")
    command = pruning(world)
    world.reported(running, "late")
    world.beat(world.job("t"))
    world.acked(world.job("t"))
    assert world.ask(command) == RunsPruned(1)
    assert names(world) == [running.run_id]


def test_a_thread_that_the_same_commit_has_changed_is_left_alone() -> None:
    world = World()
    source = ended(world)
    replies = world.batch([c.Replay(key("t"), "", None, None), pruning(world)])
    the(Replayed, replies[0])
    assert replies[1] == RunsPruned(0)
    assert source.run_id in world.tables.past_runs


def test_pruned_twice_in_one_commit_is_pruned_once() -> None:
    world = World()
    for _ in range(3):
        ended(world)
    command = pruning(world, page=2)
    replies = world.batch([command, command])
    assert [the(RunsPruned, reply).count for reply in replies] == [2, 0]


def test_a_replay_in_the_commit_of_the_pruning_finds_nothing() -> None:
    world = World()
    first, second = ended(world), ended(world)
    checkpoint = ids.checkpoint_id(first.run_id, first.checkpoint_seq)
    named = ids.checkpoint_of(checkpoint)
    replies = world.batch(
        [pruning(world, before_ms=second.updated_ms), c.Replay(key("t"), "", named, None)],
    )
    assert the(RunsPruned, replies[0]).count == 1
    assert is_not_found(replies[1])


def test_erasing_something_that_was_not_pruned_does_nothing() -> None:
    world = World()
    job = ended(world)
    assert world.ask(c.Erase(job.run_id, 100, 100)) == Forgotten(0)
    assert world.entries("t")


def test_an_answer_that_somebody_has_given_goes_with_its_run() -> None:
    world = World()
    job = world.start("t")
    world.suspended(job, c.WaitSpec("interrupt", "ok", value=b"1"))
    wait = world.wait("ok")
    the(Settled, world.answer(wait.wait_id))
    world.acked(world.grant("t"))
    world.later(1000)
    assert prune(world) == 1
    erase(world)
    assert is_not_found(world.answer(wait.wait_id))


def test_a_worker_that_holds_something_or_was_heard_of_stays() -> None:
    world = World()
    held = world.start("a", "busy", ttl_ms=3_600_000)
    world.acked(world.start("b", "idle"))
    world.open_session("named", "s1")
    world.later(100_000)
    world.acked(world.start("c", "recent"))
    before_ms = world.now_ms - 1
    forget = {name: c.ForgetWorker(worker_key(name), before_ms) for name in ("busy", "idle", "named", "recent", "who")}
    gone = {name: the(Forgotten, world.ask(command)).count for name, command in forget.items()}
    assert gone == {"busy": 0, "idle": 1, "named": 1, "recent": 0, "who": 0}
    assert world.tables.workers.keys() == {worker_key("busy"), worker_key("recent")}
    world.acked(held)


def test_a_worker_in_quarantine_stays() -> None:
    world = World(Limits(max_lease_losses=100))
    for number in range(6):
        job = world.start(f"t{number}", "bad", ttl_ms=1000)
        world.later(2000)
        world.sweep(job.thread_id)
        world.cancelled(job.thread_id)
        if world.worker("bad").quarantined_until_ms:
            break
    assert world.worker("bad").quarantined_until_ms > world.now_ms
    command = c.ForgetWorker(worker_key("bad"), world.now_ms + 1)
    assert world.ask(command) == Forgotten(0)
    world.now_ms = world.worker("bad").quarantined_until_ms
    assert world.ask(c.ForgetWorker(worker_key("bad"), world.now_ms)) == Forgotten(1)


def test_a_worker_that_is_heard_of_in_the_same_commit_has_a_row_afterwards() -> None:
    world = World()
    world.open_session("w", "s1")
    world.later(1000)
    name = worker_key("w")
    replies = world.batch([c.ForgetWorker(name, world.now_ms), c.OpenSession(name, "s1")])
    assert replies[0] == Forgotten(1)
    assert world.worker("w").session == "s1"
    replies = world.batch([c.OpenSession(name, "s2"), c.ForgetWorker(name, world.now_ms)])
    assert replies[1] == Forgotten(0)


def test_a_session_that_ended_is_forgotten_and_one_that_did_not_cannot_be() -> None:
    world = World()
    world.open_session("w", "s1")
    world.open_session("w", "s2")
    name = worker_key("w")
    assert world.ask(c.ForgetSessions(((name, "s1"), (name, "s2")))) == Forgotten(1)
    assert world.tables.ended_sessions == {}
    assert the(SessionOpened, world.open_session("w", "s1")).replaced == "s2"


KEY = AnchorKey("k" * 32)


def chain(count: int) -> list[AuditRecord]:
    """A chain of records, one a second."""
    head, made = AuditHead("chn_1", 0, bytes(32)), []
    for number in range(count):
        line = Audit("api_key", "ops", "admin", "", "http", "job.run", "thread", "t", f"r{number}")
        entry = record(head, line, "ok", b"{}", Stamp(number * 1000, number << 8))
        made.append(entry)
        head = AuditHead(entry.chain_id, entry.seq, entry.hash)
    return made


def cut_at(records: list[AuditRecord], before_ms: int, anchor: AuditAnchor | None = None) -> AuditAnchor | Uncut | None:
    return cut(KEY, "chn_1", anchor, records, before_ms)


def test_an_anchor_is_the_last_record_that_is_old_signed() -> None:
    records = chain(5)
    anchor = the(AuditAnchor, cut_at(records, 3000))
    assert (anchor.seq, anchor.hash) == (3, records[2].hash)
    assert KEY.has_signed(anchor)
    assert not AnchorKey("j" * 32).has_signed(anchor)
    further = the(AuditAnchor, cut_at(records[3:], 4000, anchor))
    assert (further.seq, KEY.has_signed(further)) == (4, True)
    assert cut_at(records[3:], 3000, anchor) is None
    assert cut_at(records, 0) is None
    assert "k" * 32 not in repr(KEY)


def test_no_anchor_is_made_over_what_is_not_in_order() -> None:
    records = chain(5)
    assert the(Uncut, cut_at(records[1:], 9000)).seq == 1
    assert the(Uncut, cut_at([records[0], records[2]], 9000)).seq == 2
    anchor = the(AuditAnchor, cut_at(records, 2000))
    forged = AuditAnchor(anchor.chain_id, anchor.seq, anchor.hash, bytes(32))
    assert "not signed" in the(Uncut, cut_at(records[2:], 9000, forged)).what


def decided(loaded: Loaded, *anchors: AuditAnchor) -> tuple[list[int], dict[str, AuditAnchor]]:
    """What came of these, in one commit."""
    facts, counts = Facts(loaded, Limits()), []
    for anchor in anchors:
        decision = decide(facts, c.PruneAudit(anchor), Stamp(0, 0))
        facts.apply(decision, 0)
        counts.append(the(Forgotten, decision.reply).count)
    return counts, facts.changes.anchors


def test_a_chain_is_cut_only_where_the_record_is_the_one_that_was_signed_for_and_never_back() -> None:
    records = chain(5)
    second, fourth = (the(AuditAnchor, cut_at(records, ms)) for ms in (2000, 4000))
    loaded = Loaded()
    loaded.old.audit_heads = {("chn_1", a.seq): a.head for a in (second, fourth)}
    assert decided(loaded, fourth, second) == ([4, 0], {"chn_1": fourth})
    assert decided(loaded, second, fourth) == ([2, 2], {"chn_1": fourth})
    loaded.old.anchors = {"chn_1": fourth}
    assert decided(loaded, second, fourth) == ([0, 0], {})
    loaded.old.anchors = {}
    loaded.old.audit_heads["chn_1", 4] = AuditHead("chn_1", 4, bytes(32))
    assert decided(loaded, fourth) == ([0], {})
