"""The ledger: what clients and workers were told, and which effects have happened. It is held against the store."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from oris.core.invariants import Snapshot
from oris.ids import LeaseId, RunId, WaitId
from oris.sim.judge import Judge
from oris.sim.witness import Witness


class Told(Struct, frozen=True):
    """A submit that was answered with success."""

    run_id: str
    tenant: str
    thread: str
    key: str | None
    body: str


class Ledger:
    """Kept by those outside the server; nothing in it was read from the store."""

    def __init__(self, witness: Witness, judge: Judge) -> None:
        self._witness = witness
        self._judge = judge
        self.submits: dict[str, Told] = {}
        self.keys: dict[tuple[str, str], Told] = {}
        self.steps: dict[tuple[str, str], Any] = {}
        """(run, action): the output whose report was answered with success."""
        self.acks: dict[str, dict[str, Any]] = {}
        self.cancelled: set[str] = set()
        self.ends: dict[str, tuple[str, Any]] = {}
        self.settled: dict[str, tuple[str, Any]] = {}
        """What somebody was told of an interrupt that he has answered."""
        self.replays: dict[str, str] = {}
        """The thread of each run that a replay was answered with."""
        self.completed: dict[str, str] = {}
        """(thread and checkpoint): the run that a replay of it was answered to have completed."""
        self.effects = 0

    def submitted(self, told: Told) -> None:
        """I8, I9: a run for one submit; one key, one run."""
        known = self.submits.setdefault(told.run_id, told)
        same = (known.tenant, known.thread, known.key, known.body)
        self._judge.require(
            same == (told.tenant, told.thread, told.key, told.body), "I8", told.run_id, f"{known} and {told}"
        )
        if told.key is not None:
            first = self.keys.setdefault((told.tenant, told.key), told)
            if first != told and (self._has_gone(first.run_id) or self._has_gone(told.run_id)):
                # The key was free again; answers may be late.
                self.keys[told.tenant, told.key] = told if self._has_gone(first.run_id) else first
                return
            self._judge.require(first == told, "I9", f"{told.tenant} {told.key}", f"{first} and {told}")

    def replayed(self, path: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
        """I23: what has completed once is answered with the same run for ever."""
        self.replays[answer["run_id"]] = answer["thread_id"]
        if answer.get("idempotent_replay") and "checkpoint_id" in body:
            run_id = answer["run_id"]
            first = self.completed.setdefault(f"{path} {body['checkpoint_id']}", run_id)
            self._judge.require(first == run_id, "I23", path, f"completed by {first}, then by {run_id}")

    def effect(self, run_id: str, lease_id: str, action: str) -> None:
        """A worker is about to do what a step stands for: not when its grant could tell that it is recorded."""
        self.effects += 1
        run, lease = self._witness.runs[RunId(run_id)], self._witness.leases[LeaseId(lease_id)]
        step = run.inherited.get(action) or run.steps.get(action)
        recorded = step is not None and step.status == "succeeded"
        # A worker that has lost its lease without knowing it may repeat what its successor records meanwhile.
        repeated = recorded and lease.closed_in is None
        self._judge.require(not repeated, "I10", f"{run_id} {action}", "the effect was recorded, and happens again")

    def recorded(self, run_id: str, action: str, output: Any) -> None:
        """A success was answered."""
        self.steps[run_id, action] = output

    def handed(self, run_id: str, steps: list[dict[str, Any]]) -> set[str]:
        """The steps an attempt need not do again: with what was answered before. I10."""
        done = {step["action_id"]: step.get("output") for step in steps if step["status"] == "succeeded"}
        for action, output in done.items():
            known = self.steps.get((run_id, action), output)
            self._judge.require(known == output, "I10", f"{run_id} {action}", f"handed {output}, answered {known}")
        return set(done)

    def resumed(self, resumes: list[dict[str, Any]]) -> set[str]:
        """The waits an attempt was told the end of, by their keys: as those were told who have answered them."""
        for wait in resumes:
            known = self.settled.get(wait["wait_id"])
            told = (wait["status"], wait.get("value"))
            self._judge.require(known in (None, told), "I24", wait["wait_id"], f"handed {told}, answered {known}")
        return {wait["key"] for wait in resumes}

    def answered(self, wait_id: str, status: str, value: Any) -> None:
        """I24: a wait settles once, whoever asks and however often."""
        first = self.settled.setdefault(wait_id, (status, value))
        self._judge.require(first == (status, value), "I24", wait_id, f"told {first}, then {(status, value)}")

    def acked(self, lease_id: str, answer: dict[str, Any]) -> None:
        """I13: every answer to the same ack is the same."""
        kept = {name: answer.get(name) for name in ("attempt_id", "status", "next_attempt_no", "next_retry_at")}
        first = self.acks.setdefault(lease_id, kept)
        self._judge.require(first == kept, "I13", lease_id, f"answered {first}, then {kept}")

    def ended(self, run_id: str, status: str, result: Any) -> None:
        """I5: a run's end is told the same way every time."""
        if status in ("completed", "failed", "cancelled"):
            first = self.ends.setdefault(run_id, (status, result))
            self._judge.require(first == (status, result), "I5", run_id, f"ended {first}, then {(status, result)}")

    def _has_gone(self, run_id: str) -> bool:
        run = self._witness.runs.get(RunId(run_id))
        return run is not None and run.pruned_in is not None

    def _forget(self) -> None:
        """What was told of runs that were pruned need not be there."""
        leases, waits, gone = self._witness.leases, self._witness.waits.waits, self._has_gone
        self.submits = {run: told for run, told in self.submits.items() if not gone(run)}
        self.replays = {run: thread for run, thread in self.replays.items() if not gone(run)}
        self.completed = {what: run for what, run in self.completed.items() if not gone(run)}
        self.steps = {step: output for step, output in self.steps.items() if not gone(step[0])}
        self.acks = {
            lease: answer for lease, answer in self.acks.items() if not gone(leases[LeaseId(lease)].run.run_id)
        }
        self.settled = {wait: told for wait, told in self.settled.items() if not gone(waits[WaitId(wait)].run_id)}
        self.cancelled = {run for run in self.cancelled if not gone(run)}
        self.ends = {run: end for run, end in self.ends.items() if not gone(run)}

    def settle(self, rows: Snapshot) -> None:
        """I7, I12: everything that was told is there, unless it was too old to be kept."""
        runs = {run.run_id: run for run in (*rows.jobs.values(), *rows.past_runs.values())}
        self._forget()
        for told in self.submits.values():
            run = runs.get(RunId(told.run_id))
            there = run is not None and (run.tenant_id, run.thread_id) == (told.tenant, told.thread)
            self._judge.require(there, "I7", told.run_id, "an acknowledged submit is gone")
        for run_id, thread in self.replays.items():
            run = runs.get(RunId(run_id))
            there = run is not None and run.thread_id == thread
            self._judge.require(there, "I7", run_id, "an acknowledged replay is gone")
        for run_id in self.completed.values():
            run = runs.get(RunId(run_id))
            self._judge.require(run is not None and run.status == "completed", "I23", run_id, "was told completed")
        for run_id, action in self.steps:
            latest = [s for s in rows.steps.get(RunId(run_id), []) if s.action_id == action and s.latest]
            there = bool(latest) and latest[0].status == "succeeded"
            self._judge.require(there, "I12", f"{run_id} {action}", "an acknowledged step is gone")
        for lease_id, answer in self.acks.items():
            closed = rows.closed.get(LeaseId(lease_id))
            there = closed is not None and closed.state == "closed" and closed.answer is not None
            self._judge.require(there, "I12", lease_id, f"an acknowledged ack is gone: {answer}")
        for wait_id, (status, _) in self.settled.items():
            wait = rows.waits.get(WaitId(wait_id))
            self._judge.require(wait is not None and wait.status == status, "I24", wait_id, f"was told {status}")
        for run_id in sorted(self.cancelled):
            run = runs.get(RunId(run_id))
            self._judge.require(
                run is not None and run.status == "cancelled", "I12", run_id, "an acknowledged cancel is gone"
            )
        for run_id, (status, _) in self.ends.items():
            run = runs.get(RunId(run_id))
            self._judge.require(run is not None and run.status == status, "I5", run_id, f"was told {status}")
