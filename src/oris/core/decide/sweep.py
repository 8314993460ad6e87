"""Sweep: deadlines, and nothing else."""

from __future__ import annotations

from oris.core.changes import Decision
from oris.core.commands import Sweep
from oris.core.decide.due import settle
from oris.core.facts import Facts
from oris.core.replies import Swept
from oris.core.stamp import Stamp
from oris.core.transition import Transition


def sweep(facts: Facts, command: Sweep, stamp: Stamp) -> Decision:
    """Apply the thread's due deadlines; where heartbeats have moved them on, move the wake-up time on."""
    t = Transition(facts.jobs.get(command.job_key), stamp)
    settle(t, facts)
    if t.current is not None:
        t.refresh_wake()
    return t.decision(Swept(None if t.current is None else t.current.wake_ms))
