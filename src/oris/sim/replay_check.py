"""The witness' account of replays: what each begins with, and that a target completes once."""

from __future__ import annotations

from collections.abc import Mapping

from oris.core import events as ev
from oris.core.chain import Entry
from oris.ids import RunId
from oris.sim.judge import Judge
from oris.sim.lives import RunLife
from oris.sim.trace import Trace


class ReplayCheck:
    """I8, I10, I23: what a replay begins with, and that a target completes once."""

    def __init__(self, judge: Judge, trace: Trace) -> None:
        self._judge = judge
        self._trace = trace
        self.targets: dict[str, list[RunLife]] = {}
        """The runs that have claimed each target, in order."""

    def created(self, run: RunLife, entry: Entry, replay: ev.ReplayOf, runs: Mapping[RunId, RunLife]) -> None:
        """A replay was made: work out, apart from the server, what it is to be handed."""
        earlier = self.targets.setdefault(replay.target, [])
        where = f"{run.job_key} {run.run_id}"
        for other in earlier:
            free = other.status in ("failed", "cancelled")
            self._judge.require(free, "I23", where, f"{replay.target} is replayed; {other.run_id} is {other.status}")
        named = _checkpoint_in(replay.target)
        base = earlier[-1] if earlier else runs.get(replay.run_id if named is None else named[0])
        right = base is not None and base.run_id == replay.run_id and base.job_key == run.job_key and base.over
        self._judge.require(right, "I8", where, f"replays {replay.run_id}, which is not what {replay.target} says")
        if base is None:
            return
        run.base = base
        if named is None:
            base.letter = False
            if replay.dead_letter is not None:
                runs[replay.dead_letter].letter = False
        until_seq = named[1] if named is not None and not earlier else entry.seq
        own = {name: step for name, step in base.steps.items() if step.status == "succeeded" and step.seq <= until_seq}
        run.inherited = {**base.inherited, **own}
        run.input_digest, run.checkpoint_digest = base.input_digest, base.checkpoint_digest
        if named is not None:
            run.checkpoint_digest = runs[named[0]].checkpoints.get(named[1])
        same = (run.policy, run.timeout_ms, run.on_timeout, run.lane) == (
            base.policy,
            base.timeout_ms,
            base.on_timeout,
            base.lane,
        )
        self._judge.require(same, "I8", where, "does not go by the rules of what it replays")
        self._trace.saw("replay goes on" if earlier else f"replay of {replay.target.partition(':')[0]}")
        earlier.append(run)


def _checkpoint_in(target: str) -> tuple[RunId, int] | None:
    kind, _, rest = target.partition(":")
    if kind != "checkpoint":
        return None
    _, digits, seq = rest.split("_")
    return RunId(f"run_{digits}"), int(seq)
