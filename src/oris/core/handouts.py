"""What a granted job carries to its worker: read after the writes, before COMMIT."""

from __future__ import annotations

from oris.core.changes import RESUMES_MAX, Handed, HandedResume, Handout, handed_wait_bytes
from oris.core.lookups import Lookups, PayloadAt, SettledWaits, StepsOf, look, look_all
from oris.core.wait_values import WaitValues
from oris.core.whole import whole_payload
from oris.errors import DataDamaged

HANDED_MAX_BYTES = 4 * 1024 * 1024
"""What an attempt carries, about: the input and the checkpoint, then the values of its waits, then its steps."""
STEPS_MAX = 1000
"""Steps handed out with a grant; the worker asks for the rest."""
STEPS_MAX_BYTES = 2 * 1024 * 1024
"""Bytes of their outputs, if the rest leaves as much; one step goes out whatever its size."""
RAISES_MAX_BYTES = 16 * 1024 * 1024
"""Bytes of suspensions that are read for what they say of the case that nobody answers; one is read in any case."""
WAITS_AT_ONCE = 100
"""Waits of one suspension."""


def read_handout(handout: Handout) -> Lookups[Handed]:
    """The input, the newest checkpoint, the newest settled waits, the first of the steps.

    Raises DataDamaged: an attempt that goes on from something else is worse than one that does not go on.
    """
    try:
        return (yield from _handed(handout))
    except DataDamaged as error:
        raise DataDamaged(error.job_key, error.seq, handout.run_id) from None


def _handed(handout: Handout) -> Lookups[Handed]:
    key = handout.job_key
    seqs = [seq for seq in (handout.input_seq, handout.checkpoint_seq) if seq]
    stored = yield from look_all([PayloadAt(key, seq) for seq in seqs])
    found = {seq: whole_payload(key, seq, each) for seq, each in zip(seqs, stored, strict=True)}
    body, checkpoint = found.get(handout.input_seq), found.get(handout.checkpoint_seq)
    room = HANDED_MAX_BYTES - len(body or b"") - len(checkpoint or b"")
    resumes: tuple[HandedResume, ...] = ()
    left_out = False
    if handout.has_waits:
        resumes, left_out = yield from _resumes(handout, room)
        room -= sum(handed_wait_bytes(resume.key, resume.value) for resume in resumes)
    most = min(room, STEPS_MAX_BYTES)
    steps = yield from look(StepsOf(key, handout.run_id, handout.sources, 0, STEPS_MAX, most))
    return Handed(body, checkpoint, steps.items, steps.more, resumes=resumes, resumes_truncated=left_out)


def _resumes(handout: Handout, room: int) -> Lookups[tuple[tuple[HandedResume, ...], bool]]:
    """What the run's waits were settled with, those settled last that fit, in the order in which they were raised; and
    whether older ones were left out. The wait that was settled last goes out whatever its size.

    A run waits for one suspension at a time, so what was raised later was settled later, but for the waits of one
    suspension: it is enough to look at so many more.
    """
    waits = yield from look(SettledWaits(handout.run_id, RESUMES_MAX + WAITS_AT_ONCE))
    newest = sorted(waits, key=lambda wait: (wait.settled_ms, wait.number), reverse=True)
    values = WaitValues(handout.job_key)
    found: list[tuple[int, HandedResume]] = []
    raises_room = RAISES_MAX_BYTES
    for wait in newest[:RESUMES_MAX]:
        answer_bytes, raise_bytes = yield from values.unread_bytes(wait.status, wait.value_seq, wait.settled_seq)
        raises_room -= raise_bytes
        if found and (raises_room < 0 or handed_wait_bytes(wait.key) + answer_bytes > room):
            break
        value = yield from values.settled(wait.status, wait.value_seq, wait.value_index, wait.settled_seq)
        room -= handed_wait_bytes(wait.key, value)
        if found and room < 0:
            break
        found.append((wait.number, HandedResume(wait.wait_id, wait.kind, wait.key, wait.status, value)))
    found.sort(key=lambda resume: resume[0])
    return tuple(resume for _, resume in found), len(found) < len(waits)
