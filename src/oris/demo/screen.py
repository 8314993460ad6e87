"""What a person sees of the demo: progress on a terminal, plain lines elsewhere, tables at the end."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from oris.demo.proof import Effect, Proof
from oris.demo.timelines import Record

LAST_STEP = "store"
_LINES = 4
"""Progress lines where there is no terminal."""


class Screen:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self._console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, total: int) -> Iterator[Callable[[list[Effect]], None]]:
        """Gives a function that shows how far the journal has come."""
        if self._console.is_terminal:
            with self._bar(total) as show:
                yield show
        else:
            yield self._lines(total)

    @contextlib.contextmanager
    def _bar(self, total: int) -> Iterator[Callable[[list[Effect]], None]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[who]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task("indexing", total=total, who="")
            yield lambda effects: bar.update(task, completed=_stored(effects), who=_who(effects))

    def _lines(self, total: int) -> Callable[[list[Effect]], None]:
        told = 0

        def show(effects: list[Effect]) -> None:
            nonlocal told
            if _stored(effects) * _LINES // max(1, total) > told:
                told = _stored(effects) * _LINES // total
                self.say(f"  {_stored(effects)} of {total} indexed ({_who(effects)})")

        return show

    def report(self, records: list[Record], effects: list[Effect], proof: Proof, seconds: float) -> None:
        """The tables, and what they prove."""
        self._console.print(_totals(records, proof, seconds))
        self._console.print(_workers(records, effects, proof))
        if not proof.violations:
            told = "No recorded step was lost or repeated: each effect is in the workers' journal exactly once."
            self.say(told, style="green")
        for effect in proof.interrupted:
            self.say(
                f"The journal also has one effect of {effect.worker_id}, killed between {effect.step} on "
                f"{effect.thread_id} and its record. The step was not recorded, so it was done again."
            )

    def look_further(self, database: Path, thread_id: str) -> None:
        """How to see more."""
        serve = shlex.join([sys.executable, "-m", "oris", "--sqlite-db", str(database)])
        self.say("\nAll processes have ended; the database is kept. To look at it, start a server:")
        self.say(f"  {serve}", style="cyan")
        self.say("and in another terminal:")
        for path in (f"/v1/jobs/{thread_id}", f"/v1/jobs/{thread_id}/timeline", "/v1/jobs?status=completed&limit=5"):
            self.say(f"  curl -s 'http://127.0.0.1:8080{path}'", style="cyan")


def _stored(effects: list[Effect]) -> int:
    return len({effect.thread_id for effect in effects if effect.step == LAST_STEP})


def _who(effects: list[Effect]) -> str:
    by_worker = Counter(effect.worker_id for effect in effects if effect.step == LAST_STEP)
    return ", ".join(f"{worker} {count}" for worker, count in sorted(by_worker.items()))


def _totals(records: list[Record], proof: Proof, seconds: float) -> Table:
    """The run in numbers."""
    table = Table(title="The run", title_justify="left", show_header=False)
    table.add_row("jobs", str(len(records)))
    table.add_row("attempts", str(sum(record.attempts for record in records)))
    table.add_row("steps recorded", str(proof.recorded_steps))
    table.add_row("effects in the workers' journal", str(proof.effects))
    for takeover in proof.takeovers:
        table.add_row("job taken over", escape(takeover.thread_id))
        table.add_row("  lost by, taken by", f"{takeover.lost_by}, {takeover.taken_by}")
        table.add_row("  lease expiry to restart", f"{takeover.expiry_to_restart_ms:.0f} ms")
        table.add_row("  recorded steps handed back", str(takeover.steps_handed_back))
    table.add_row("time", f"{seconds:.1f} s")
    return table


def _workers(records: list[Record], effects: list[Effect], proof: Proof) -> Table:
    """What each worker did."""
    granted = Counter(event.worker_id for record in records for event in record.of_type("lease_granted"))
    finished = Counter(event.worker_id for record in records for event in record.of_type("completed"))
    recorded = Counter(step.worker_id for record in records for step in record.recorded_steps)
    done = Counter(effect.worker_id for effect in effects)
    lost = Counter(takeover.lost_by for takeover in proof.takeovers)
    skipped: Counter[str] = Counter()
    for takeover in proof.takeovers:
        skipped[takeover.taken_by] += takeover.steps_handed_back
    table = Table(title="What each worker did", title_justify="left")
    table.add_column("worker")
    for name in ("attempts", "finished", "lost", "effects", "steps recorded", "steps skipped"):
        table.add_column(name, justify="right")
    for worker in sorted(set(done) | {str(name) for name in granted}):
        counts = (granted[worker], finished[worker], lost[worker], done[worker], recorded[worker], skipped[worker])
        table.add_row(worker, *map(str, counts))
    return table
