"""A checker that finds nothing proves nothing: each bug planted here is found within a few seeds."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from oris.clock import EngineClock
from oris.core import events as ev
from oris.core.changes import Handed, HandedResume, Handout
from oris.core.counters import Counters
from oris.core.facts import Facts
from oris.core.lease import lost as lease_lost
from oris.core.lookups import Lookups, look_all
from oris.core.mode import Modes
from oris.core.model import TERMINAL
from oris.core.needs import Needs
from oris.core.replies import SessionOpened
from oris.core.transition import Transition
from oris.engine.batch import Batch
from oris.engine.demand import Demand
from oris.engine.listeners import Listener
from oris.engine.parked import WAITING, State
from oris.engine.retention import RetentionRules
from oris.sim.disk import Disk
from oris.storage.sqlite.database import MemoryDatabase

from .planting import Bug, Patch, assert_found, bug, keep, module, name_of

SEEDS = 60
"""Within so many seeds a planted bug has to be found."""


def ack_without_the_lease_check(patch: Patch) -> None:
    patch.setattr(module("core.decide.ack"), "holds", _any_lease)


def report_without_the_lease_check(patch: Patch) -> None:
    patch.setattr(module("core.decide.report"), "holds", _any_lease)


def release_without_the_lease_check(patch: Patch) -> None:
    patch.setattr(module("core.decide.release"), "holds", _any_lease)


def _any_lease(t: Transition, lease_id: str, worker: str | None) -> bool:
    return t.current is not None and t.current.lease_id is not None


def heartbeat_revives_an_expired_lease(patch: Patch) -> None:
    patch.setattr(module("core.decide.heartbeat"), "settle", lambda t, limits: None)


def expiry_does_not_count(patch: Patch) -> None:
    def uncounted(before: Any, after: Any, body: Any) -> Any:
        lost = isinstance(body, ev.LeaseExpired)
        return replace(after, attempt_no=before.attempt_no, losses=before.losses) if lost else after

    _evolve_otherwise(patch, uncounted)


def _evolve_otherwise(patch: Patch, change: Callable[[Any, Any, Any], Any]) -> None:
    """What an event does to a run is changed, wherever it is asked for."""
    real = module("core.fold").evolve

    def evolve(job: Any, key: Any, run: Any, seq: int, at_ms: int, body: Any, digest: bytes, skew_ms: int = 0) -> Any:
        return change(job, real(job, key, run, seq, at_ms, body, digest, skew_ms), body)

    patch.setattr(module("core.fold"), "evolve", evolve)
    patch.setattr(module("core.transition"), "evolve", evolve)


def a_poison_job_goes_on_for_ever(patch: Patch) -> None:
    due = module("core.decide.due")
    real = due._lose

    def lose(t: Transition, facts: Facts, end: Any) -> None:
        limits = facts.limits
        facts.limits = replace(limits, max_lease_losses=10**6)
        real(t, facts, end)
        facts.limits = limits

    patch.setattr(due, "_lose", lose)


def the_youngest_job_goes_first(patch: Patch) -> None:
    dispatch = module("core.dispatch")
    real = dispatch._merged
    patch.setattr(dispatch, "_merged", lambda *args: real(*args)[::-1])


def a_running_job_is_granted_again(patch: Patch) -> None:
    dispatch = module("core.dispatch")
    real = dispatch._grant

    def grant(facts: Facts, job: Any, *more: Any) -> Any:
        return real(facts, real(facts, job, *more), *more)

    patch.setattr(dispatch, "_grant", grant)


def idempotency_is_looked_up_after_run_active(patch: Patch) -> None:
    submit = module("core.decide.submit")
    real = submit._earlier

    def earlier(facts: Facts, command: Any) -> Any:
        job = facts.jobs.get(command.job_key)
        return None if job is not None and job.status not in TERMINAL else real(facts, command)

    patch.setattr(submit, "_earlier", earlier)


def a_key_is_not_bound(patch: Patch) -> None:
    patch.setattr(Transition, "bind", lambda self, submit: None)


def a_wake_up_is_lost(patch: Patch) -> None:
    patch.setattr(Demand, "raise_level", lambda self, lane: None)


def a_poll_that_got_nothing_is_forgotten(patch: Patch) -> None:
    real = Demand._enter

    def enter(self: Demand, parked: Any) -> None:
        if parked.state not in WAITING:
            real(self, parked)

    patch.setattr(Demand, "_enter", enter)


def the_bell_is_silent(patch: Patch) -> None:
    patch.setattr(module("engine.demand").Bell, "ring", lambda self: None)


def the_sweeper_oversleeps(patch: Patch) -> None:
    patch.setattr(module("engine.sweeper").Sweeper, "set_alarm", lambda self, at_ms: None)


def a_repeated_poll_gets_new_leases(patch: Patch) -> None:
    patch.setattr(module("core.dispatch"), "_redelivered", lambda *args: ())


def a_copy_of_a_poll_gets_new_leases(patch: Patch) -> None:
    real = Facts.polled

    def as_loaded(self: Facts, worker: Any, poll_id: str) -> Any:
        before = self._polled
        return [job for job in real(self, worker, poll_id) if job.job_key in before]

    patch.setattr(Facts, "polled", as_loaded)


def a_timeline_has_a_gap(patch: Patch) -> None:
    def skipped(before: Any, after: Any, body: Any) -> Any:
        return replace(after, seq=after.seq + 1) if isinstance(body, ev.CheckpointSaved) else after

    _evolve_otherwise(patch, skipped)


def leases_are_not_counted(patch: Patch) -> None:
    patch.setattr(Counters, "put_worker", lambda self, worker: None)


def a_retry_goes_out_at_once(patch: Patch) -> None:
    ack = module("core.decide.ack")
    real = ack._schedule

    def schedule(t: Transition, command: Any, policy: Any, due_ms: int) -> None:
        real(t, command, policy, due_ms)
        if t.job.status != "queued":
            t.emit(ev.AttemptQueued())

    patch.setattr(ack, "_schedule", schedule)


def a_backoff_outside_its_band(patch: Patch) -> None:
    retry = module("core.retry")
    real = retry.backoff_ms
    patch.setattr(retry, "backoff_ms", lambda *args: real(*args) * 3 + 1)


def a_crash_takes_the_newest_run(patch: Patch) -> None:
    real = MemoryDatabase.crash

    def crash(self: Disk, *holder: Any) -> None:
        real(self, *holder)
        self._connection.execute("DELETE FROM runtime_jobs WHERE id = (SELECT max(id) FROM runtime_jobs)")

    patch.setattr(MemoryDatabase, "crash", crash)


def a_crash_takes_the_newest_step(patch: Patch) -> None:
    real = MemoryDatabase.crash

    def crash(self: Disk, *holder: Any) -> None:
        real(self, *holder)
        self._connection.execute("DELETE FROM runtime_steps WHERE seq = (SELECT max(seq) FROM runtime_steps)")

    patch.setattr(MemoryDatabase, "crash", crash)


def a_finished_run_can_be_cancelled(patch: Patch) -> None:
    cancel = module("core.decide.cancel")
    real = cancel._refuse

    def refuse(t: Transition, command: Any) -> Any:
        refusal = real(t, command)
        return None if refusal is not None and t.current is not None and t.current.status in TERMINAL else refusal

    patch.setattr(cancel, "_refuse", refuse)


def a_repeated_ack_is_refused(patch: Patch) -> None:
    ack = module("core.decide.ack")
    patch.setattr(ack, "_again", lambda facts, t, command: lease_lost(None))


def a_step_succeeds_twice(patch: Patch) -> None:
    patch.setattr(Facts, "steps", lambda self, run, action: [])


def answers_are_not_handed_on(patch: Patch) -> None:
    def none(handout: Handout, room: int) -> Lookups[tuple[tuple[HandedResume, ...], bool]]:
        yield from look_all([])
        return (), False

    patch.setattr(module("core.handouts"), "_resumes", none)


def recorded_steps_are_not_handed_on(patch: Patch) -> None:
    writer = module("storage.sqlite.writer")
    real = writer.read_handout

    def without_steps(handout: Handout) -> Lookups[Handed]:
        handed: Handed = yield from real(handout)
        return replace(handed, steps=())

    patch.setattr(writer, "read_handout", without_steps)


def the_fence_falls(patch: Patch) -> None:
    def granted(lease: Any, worker: Any, fence: int, *more: Any) -> ev.LeaseGranted:
        return ev.LeaseGranted(lease, worker, fence % 7 + 1, *more)

    patch.setattr(module("core.dispatch"), "ev", SimpleNamespace(LeaseGranted=granted))


def a_restart_forgets_the_time(patch: Patch) -> None:
    patch.setattr(module("clock").EngineClock, "start_after", lambda self, high_water_ms: None)


def a_full_disk_refuses_acks_with_the_new_runs(patch: Patch) -> None:
    def everything(batch: Any, error: Any) -> Any:
        return batch, type(batch)("", 0, [], [], {})

    patch.setattr(module("engine.committer"), "parted", everything)


def an_outage_is_not_made_up_for(patch: Patch) -> None:
    patch.setattr(module("core.lease"), "expiry", lambda job, outages: job.lease_expires_ms)


def an_outage_revives_what_was_over_before_it(patch: Patch) -> None:
    real = module("core.lease").expiry

    def generous(job: Any, outages: Any) -> int:
        return int(real(job, [replace(outage, from_ms=outage.from_ms - 3000) for outage in outages]))

    patch.setattr(module("core.lease"), "expiry", generous)


def each_outage_makes_the_next_one_count(patch: Patch) -> None:
    real = module("core.lease").expiry
    patch.setattr(
        module("core.lease"),
        "expiry",
        lambda job, outages: real(replace(job, lease_asked_ms=job.lease_expires_ms), outages),
    )


def an_outage_gives_more_than_it_took(patch: Patch) -> None:
    real = module("core.lease").expiry

    def generous(job: Any, outages: Any) -> int:
        end_ms = int(real(job, outages))
        return end_ms if end_ms == job.lease_expires_ms else max(job.lease_expires_ms, job.lease_asked_ms + 30_000)

    patch.setattr(module("core.lease"), "expiry", generous)


def an_older_session_goes_on(patch: Patch) -> None:
    patch.setattr(module("core.lease"), "_session_end", lambda job, worker: None)


def any_session_is_granted_work(patch: Patch) -> None:
    dispatch = module("core.dispatch")
    real = dispatch._serve

    def serve(facts: Facts, queue: Any, want: Any, *more: Any) -> Any:
        session = facts.worker(want.worker_key, 0).session
        return real(facts, queue, replace(want, session=want.session and session), *more)

    patch.setattr(dispatch, "_serve", serve)
    patch.setattr(module("engine.publish").Publisher, "_worker", lambda self, worker: None)
    patch.setattr(module("core.decide.session"), "session_superseded", lambda: SessionOpened("any", None))


def a_lost_lease_is_no_incident(patch: Patch) -> None:
    patch.setattr(module("core.facts"), "with_loss", lambda worker, *more: worker)


def each_lease_is_an_incident_of_its_own(patch: Patch) -> None:
    facts = module("core.facts")
    real = facts.with_loss

    def with_loss(worker: Any, job: Any, now_ms: int, rules: Any) -> Any:
        return real(worker, replace(job, run_id=job.lease_id, lease_granted_ms=10**15), now_ms, rules)

    patch.setattr(facts, "with_loss", with_loss)


def a_quarantined_worker_is_given_all_it_wants(patch: Patch) -> None:
    patch.setattr(module("core.dispatch"), "room_for", lambda worker, limit, now_ms: limit)


def a_proxy_that_reloads_kills_the_fleet(patch: Patch) -> None:
    def broke(self: Any, session: Any, now_ms: int) -> None:
        self._broken[session] = now_ms

    patch.setattr(module("engine.watch").Watch, "broke", broke)
    # Of as many seeds as are tried here one might show it, or none: proxies reload more often, and take longer.
    patch.setitem(module("sim.faults").RATES, "proxy_cut", 1.0)
    network = module("sim.network").Network
    real = network.partition
    patch.setattr(network, "partition", lambda self, for_s: real(self, max(for_s, 2.0)))


def a_wait_settles_twice(patch: Patch) -> None:
    resume = module("core.decide.resume")
    real = resume._begin

    def begin(*args: Any) -> Any:
        t, wait = real(*args)
        return t, wait and replace(wait, status="pending")

    patch.setattr(resume, "_begin", begin)


def what_is_left_of_the_waits_stays(patch: Patch) -> None:
    for name in ("core.waits", "core.decide.due", "core.decide.cancel"):
        patch.setattr(module(name), "drop_waits", lambda t, facts: None)


def a_graceful_cancel_takes_the_lease_at_once(patch: Patch) -> None:
    patch.setattr(module("core.decide.due"), "limit_at", lambda job: job.lease_granted_ms)


def a_stream_tells_an_event_twice(patch: Patch) -> None:
    events = module("api.handlers.events")
    real = events._section

    async def section(call: Any, key: Any, after_seq: int) -> Any:
        return await real(call, key, max(0, after_seq - 1))

    patch.setattr(events, "_section", section)


def a_stream_goes_on_one_event_too_far(patch: Patch) -> None:
    events = module("api.handlers.events")
    real = events._section

    async def section(call: Any, key: Any, after_seq: int) -> Any:
        found = await real(call, key, after_seq)
        return replace(found, through_seq=found.through_seq + 1)

    patch.setattr(events, "_section", section)


def a_stream_does_not_wait_for_its_run(patch: Patch) -> None:
    patch.setattr(Listener, "is_done", lambda self, after_seq: self.seq <= after_seq)


def a_replay_claims_nothing(patch: Patch) -> None:
    patch.setattr(Transition, "claim", lambda self, claim: None)


def a_replay_hands_on_nothing_of_its_source(patch: Patch) -> None:
    patch.setattr(module("core.decide.replay"), "with_own_steps", lambda run, until_seq: ())


def a_replay_hands_on_what_came_after_its_checkpoint(patch: Patch) -> None:
    real = module("core.decide.replay").with_own_steps
    patch.setattr(module("core.decide.replay"), "with_own_steps", lambda run, until_seq: real(run, run.seq))


def a_step_that_was_taken_over_is_recorded_again(patch: Patch) -> None:
    patch.setattr(module("core.decide.report"), "inherited_steps", lambda *args: [])
    patch.setattr(module("sim.ledger").Ledger, "handed", lambda self, run_id, steps: set())
    patch.setattr(module("sim.ledger").Ledger, "effect", lambda self, *args: None)


def a_switch_does_not_stop_the_giving_out(patch: Patch) -> None:
    patch.setattr(Modes, "dispatch", property(lambda self: True))


def a_switch_does_not_stop_new_runs(patch: Patch) -> None:
    patch.setattr(Modes, "submit", property(lambda self: True))


def a_commit_does_not_read_the_switches(patch: Patch) -> None:
    real = Batch.needs

    def needs(self: Batch, *args: Any) -> Needs:
        found = real(self, *args)
        found.modes = set()
        return found

    patch.setattr(Batch, "needs", needs)


def dates_go_by_the_engines_clock(patch: Patch) -> None:
    patch.setattr(EngineClock, "skew_ms", lambda self: 0)


def a_date_is_looked_for_on_the_engines_clock(patch: Patch) -> None:
    patch.setattr(module("core.deadlines"), "has_date", lambda job: False)


def a_backoff_goes_by_the_calendar(patch: Patch) -> None:
    patch.setattr(module("core.deadlines"), "has_date", lambda job: job.due_ms is not None)


def the_engines_clock_goes_with_the_wall_clock(patch: Patch) -> None:
    patch.setattr(EngineClock, "now_ms", lambda self: self._clock.wall_ms())


def a_place_in_the_queue_goes_by_the_calendar(patch: Patch) -> None:
    patch.setattr(module("core.decide.due"), "_available_ms", lambda t: None)


def a_commit_hands_out_all_it_is_asked_for(patch: Patch) -> None:
    patch.setattr(module("core.dispatch").Room, "fits", lambda self, leases, size: True)


def a_poll_that_found_no_room_is_forgotten(patch: Patch) -> None:
    real = Demand._next

    def onward(self: Demand, parked: Any, granted: Any) -> State:
        return State.CONTROL_ONLY if granted.cut else real(self, parked, granted)

    patch.setattr(Demand, "_next", onward)


def what_was_not_read_of_a_lane_is_forgotten(patch: Patch) -> None:
    dispatch = module("core.dispatch")
    real = dispatch.Line
    patch.setattr(dispatch, "Line", lambda lane, jobs, heads: real(lane, jobs, replace(heads, complete=True)))


def what_waits_for_its_time_fills_the_queue(patch: Patch) -> None:
    def no_room(due: int, later: int, due_max: int, later_max: int, *, delayed: bool) -> bool:
        return due + later >= (later_max if delayed else due_max)

    patch.setattr(module("core.decide.submit"), "_no_room", no_room)


def what_backs_off_is_counted_as_due(patch: Patch) -> None:
    patch.setattr(module("core.facts"), "DELAYED", frozenset({"scheduled"}))


def a_lane_that_comes_beside_a_poll_is_not_noticed(patch: Patch) -> None:
    patch.setattr(Demand, "_meet", lambda self, wishes: None)


BUGS = [
    bug(dates_go_by_the_engines_clock, "I21"),
    bug(a_date_is_looked_for_on_the_engines_clock, "I14", "L1", "L2", seed=10),
    bug(a_backoff_goes_by_the_calendar, "I14", "L1", "L2"),
    bug(the_engines_clock_goes_with_the_wall_clock, "I21", "I3", "I6", "L2"),
    bug(a_place_in_the_queue_goes_by_the_calendar, "I22", seed=4),
    bug(a_commit_hands_out_all_it_is_asked_for, "bound"),
    bug(a_poll_that_found_no_room_is_forgotten, "L2", "L3", seed=7),
    bug(what_was_not_read_of_a_lane_is_forgotten, "I22", "L1", "L2"),
    bug(what_waits_for_its_time_fills_the_queue, "I20", seed=19),
    bug(what_backs_off_is_counted_as_due, "I20"),
    bug(a_lane_that_comes_beside_a_poll_is_not_noticed, "L1", "L2"),
    bug(a_replay_claims_nothing, "I8", "I23", seed=5),
    bug(a_replay_hands_on_nothing_of_its_source, "I10", seed=5),
    bug(a_replay_hands_on_what_came_after_its_checkpoint, "I10", seed=5),
    bug(a_step_that_was_taken_over_is_recorded_again, "I10", seed=5),
    bug(ack_without_the_lease_check, "I3", "I13", seed=4),
    bug(report_without_the_lease_check, "I3", seed=4),
    bug(release_without_the_lease_check, "I3", seed=7),
    bug(heartbeat_revives_an_expired_lease, "I3", seed=13),
    bug(expiry_does_not_count, "I6"),
    bug(a_poison_job_goes_on_for_ever, "I6"),
    bug(the_youngest_job_goes_first, "I22"),
    bug(a_running_job_is_granted_again, "I1"),
    bug(idempotency_is_looked_up_after_run_active, "I9"),
    bug(a_key_is_not_bound, "I9"),
    bug(a_wake_up_is_lost, "L1", "L2", "I22"),
    bug(a_poll_that_got_nothing_is_forgotten, "L2"),
    bug(the_bell_is_silent, "L2"),
    bug(the_sweeper_oversleeps, "L2"),
    bug(a_repeated_poll_gets_new_leases, "I1"),
    bug(a_copy_of_a_poll_gets_new_leases, "I1", seed=8),
    bug(a_timeline_has_a_gap, "I11"),
    bug(leases_are_not_counted, "I20"),
    bug(a_retry_goes_out_at_once, "I14"),
    bug(a_backoff_outside_its_band, "I14"),
    bug(a_crash_takes_the_newest_run, "I7", "I11", "I12"),
    bug(a_crash_takes_the_newest_step, "I10", "I12"),
    bug(a_finished_run_can_be_cancelled, "I5"),
    bug(a_repeated_ack_is_refused, "I13"),
    bug(a_step_succeeds_twice, "I10"),
    bug(recorded_steps_are_not_handed_on, "I10"),
    bug(answers_are_not_handed_on, "I10"),
    bug(the_fence_falls, "I4"),
    bug(a_restart_forgets_the_time, "I21"),
    bug(an_outage_is_not_made_up_for, "I3", "I6"),
    bug(an_outage_revives_what_was_over_before_it, "I3", "I21"),
    bug(each_outage_makes_the_next_one_count, "I21", "I3"),
    bug(an_outage_gives_more_than_it_took, "I21", "I3"),
    bug(an_older_session_goes_on, "I1", "I3", "I16"),
    bug(any_session_is_granted_work, "I20", "I1", "L2"),
    bug(a_lost_lease_is_no_incident, "I20"),
    bug(each_lease_is_an_incident_of_its_own, "I20"),
    bug(a_quarantined_worker_is_given_all_it_wants, "I20"),
    bug(a_proxy_that_reloads_kills_the_fleet, "I6", seed=62),
    bug(a_wait_settles_twice, "I24", "I5"),
    bug(what_is_left_of_the_waits_stays, "I24"),
    bug(a_graceful_cancel_takes_the_lease_at_once, "I16", "I3"),
    bug(a_full_disk_refuses_acks_with_the_new_runs, "I25", seed=21),
    bug(a_switch_does_not_stop_the_giving_out, "mode"),
    bug(a_switch_does_not_stop_new_runs, "mode"),
    bug(a_commit_does_not_read_the_switches, "mode"),
    bug(a_stream_tells_an_event_twice, "I11"),
    bug(a_stream_goes_on_one_event_too_far, "I11"),
    bug(a_stream_does_not_wait_for_its_run, "I11"),
]


@pytest.mark.parametrize("planted", BUGS, ids=name_of)
def test_a_planted_bug_is_found(planted: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(RetentionRules(), monkeypatch)
    assert_found(planted, monkeypatch, SEEDS)
