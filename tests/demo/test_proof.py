"""The comparison of effects and records finds what must not be, and forgives only what cannot be helped."""

from __future__ import annotations

from itertools import count

from oris.demo.proof import Effect, prove
from oris.demo.steps import STEPS
from oris.demo.timelines import Event, Record

NAMES = [name for name, _ in STEPS]
AT = "2026-01-01T00:00:00.000Z"
AT_MS = 1767225600000


def record(*lines: tuple[str, int, dict[str, object]], status: str = "completed") -> Record:
    """A job with these events: type, attempt, data."""
    seqs = count(1)
    events = [Event(next(seqs), kind, attempt, f"worker-{attempt}", AT, data) for kind, attempt, data in lines]
    return Record("doc", status, tuple(events))


def granted(attempt_no: int) -> tuple[str, int, dict[str, object]]:
    return "lease_granted", attempt_no, {}


def step(name: str, attempt_no: int) -> tuple[str, int, dict[str, object]]:
    return "step_recorded", attempt_no, {"action_id": name, "status": "succeeded"}


def effect(name: str, attempt_no: int) -> Effect:
    return Effect("doc", name, f"worker-{attempt_no}", attempt_no)


PLAIN = record(granted(1), *(step(name, 1) for name in NAMES), ("completed", 1, {}))
TAKEN_OVER = record(
    granted(1),
    step(NAMES[0], 1),
    ("lease_expired", 1, {"expired_ms": AT_MS - 7}),
    granted(2),
    *(step(name, 2) for name in NAMES[1:]),
    ("completed", 2, {}),
)
TAKEN_OVER_EFFECTS = [effect(NAMES[0], 1), *(effect(name, 2) for name in NAMES[1:])]


def test_a_job_done_once_proves_itself() -> None:
    proof = prove([PLAIN], [effect(name, 1) for name in NAMES])
    assert proof.violations == ()
    assert (proof.recorded_steps, proof.effects, proof.takeovers, proof.interrupted) == (4, 4, (), ())


def test_a_takeover_is_measured_from_the_expiry_to_the_next_grant() -> None:
    proof = prove([TAKEN_OVER], TAKEN_OVER_EFFECTS)
    assert proof.violations == ()
    [takeover] = proof.takeovers
    assert (takeover.lost_by, takeover.taken_by) == ("worker-1", "worker-2")
    assert (takeover.steps_handed_back, takeover.expiry_to_restart_ms) == (1, 7)


def test_an_effect_that_was_never_recorded_may_show_twice_and_is_named() -> None:
    unrecorded = effect(NAMES[1], 1)
    proof = prove([TAKEN_OVER], [*TAKEN_OVER_EFFECTS, unrecorded])
    assert proof.violations == ()
    assert proof.interrupted == (unrecorded,)


def test_a_recorded_step_that_was_done_again_is_found() -> None:
    assert prove([TAKEN_OVER], [*TAKEN_OVER_EFFECTS, effect(NAMES[0], 2)]).violations


def test_a_step_done_twice_by_one_attempt_is_found() -> None:
    assert prove([PLAIN], [effect(name, 1) for name in [*NAMES, NAMES[0]]]).violations


def test_an_unrecorded_effect_without_a_lost_lease_is_found() -> None:
    retried = record(granted(1), granted(2), *(step(name, 2) for name in NAMES))
    effects = [effect(NAMES[0], 1), *(effect(name, 2) for name in NAMES)]
    assert prove([retried], effects).violations


def test_a_record_without_its_effect_is_found() -> None:
    assert prove([PLAIN], [effect(name, 1) for name in NAMES[1:]]).violations


def test_an_effect_of_a_job_that_does_not_exist_is_found() -> None:
    effects = [effect(name, 1) for name in NAMES]
    assert prove([PLAIN], [*effects, Effect("other", NAMES[0], "worker-1", 1)]).violations


def test_a_job_that_did_not_complete_or_misses_a_step_is_found() -> None:
    failed = record(granted(1), *(step(name, 1) for name in NAMES), status="failed")
    short = record(granted(1), *(step(name, 1) for name in NAMES[:3]))
    assert prove([failed], [effect(name, 1) for name in NAMES]).violations
    assert prove([short], [effect(name, 1) for name in NAMES[:3]]).violations


def test_a_gap_in_a_timeline_is_found() -> None:
    gap = Record("doc", "completed", PLAIN.events[1:])
    assert prove([gap], [effect(name, 1) for name in NAMES]).violations
