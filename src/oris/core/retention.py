"""Retention: which runs of a thread may go. Whole runs, the oldest first, so that what is kept is one piece.

A run that is over goes when it is old enough, unless somebody needs it still: its dead letter waits, or a run that is
kept goes on from it. A replay names what it took over by reference, through as many replays as it took: keeping the
run that each one goes on from keeps all of that. A claim goes with the run that has it, and then its target has gone
too, since a target is older than whatever replays it.

A line of replays goes whole, however many they are. So runs are looked at a page at a time, outside the commits, and
nothing but their names is kept of them.
"""

from __future__ import annotations

from msgspec import Struct

from oris.core.model import TERMINAL
from oris.core.old import Cut, OldestRuns, Place
from oris.ids import RunId


class Found(Struct, frozen=True):
    """What was seen of a thread's oldest runs, as far as they were looked at."""

    place: Place
    ripe: tuple[RunId, ...] = ()
    """Those that are old enough and no dead letters, from the oldest on."""
    needed_until: int = 0
    """The last event of the newest run that goes on from one of them."""
    cut: Cut | None = None
    """As many of them as may go; None: none may, as far as they are known."""
    after: int | None = 0
    """Where the next page begins; None: behind what was looked at nothing is ripe."""


def may_go(found: Found | None, page: OldestRuns, before_ms: int) -> Found | None:
    """What is known with the next page; None: the thread has moved since the page before, so nothing is.

    Runs end one after the other: each page is younger than those before, and the time that the last one is judged by
    counts for all, should the clock have been set meanwhile.
    """
    if found is None:
        found = Found(page.place)
    elif found.place != page.place:
        return None
    ripe, cut, after = list(found.ripe), found.cut, page.after
    needed_until, last = found.needed_until, None
    for run in page.runs:
        if run.status not in TERMINAL or run.updated_ms >= before_ms or run.dead:
            after = None
            break
        ripe.append(run.run_id)
        needed_until = max(needed_until, run.replayed_until)
        if needed_until <= run.seq:
            last = (len(ripe), run)
    if last is not None:
        count, run = last
        cut = Cut(page.place, tuple(ripe[:count]), run.seq, run.head_hash, run.fence)
    return Found(page.place, tuple(ripe), needed_until, cut, after)
