"""A whole worker in the standard library alone: the example for workers in any language.

It indexes documents. What any worker does is here and beside it: poll and wait for work, report each step as it is
done, skip the steps that an earlier attempt has recorded, and ack together with the next poll (this file); renew the
lease, also while the server is away (`heartbeat.py`); hear at once of a cancel (`control.py`); send a call again until
it is answered (`http_client.py`). The steps themselves are in `steps.py`.

    python -m oris.demo.worker --server 127.0.0.1:8080 --worker-id w1 --journal effects.jsonl
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oris.demo.control import Control
from oris.demo.heartbeat import BEATS_A_TTL, Heartbeat
from oris.demo.http_client import POLL_WAIT_MS, Api, CallError, Json
from oris.demo.lease import Lease, Slot
from oris.demo.steps import STEPS, Document

PATIENCE_S = 600.0
"""For how long the server may stay away. A worker that has waited so long ends, for whoever runs it to see."""
DRAINED_PAUSE_S = 1.0


class LeaseLost(Exception):
    """The job is ours no more: drop it, somebody else goes on or it is over."""


class StepFailed(Exception):
    """A step of this job cannot be done."""


class Journal:
    """Where effects go: one line each, appended whole, whoever writes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, line: Json) -> None:
        """This is the effect. Once its step is recorded it does not happen again."""
        os.write(self._file, json.dumps(line).encode() + b"\n")


class Attempt:
    """One attempt at one document."""

    def __init__(self, granted: Json) -> None:
        self.attempt_id: str = granted["attempt_id"]
        self.attempt_no: int = granted["attempt_no"]
        self.lease = Lease(granted["lease_id"])
        self.thread_id: str = granted["thread_id"]
        self.input: Any = granted["input"]
        self.steps_next_after: int | None = granted.get("steps_next_after")
        self.outputs: dict[str, Any] = {}
        self.hand_back(granted["steps"])

    @property
    def path(self) -> Path:
        """The document. Whatever a client has sent as input, only the step that needs it fails."""
        return Path(self.input["path"])

    @property
    def ids(self) -> Json:
        """What every write of a worker carries."""
        return {"attempt_id": self.attempt_id, "lease_id": self.lease.lease_id}

    def hand_back(self, steps: list[Json]) -> None:
        """Take over what earlier attempts have recorded: those steps are not done again."""
        self.outputs |= {step["action_id"]: step["output"] for step in steps if step["status"] == "succeeded"}


class Worker:
    """Polls, works, acks, for ever."""

    def __init__(self, server: str, worker_id: str, journal: Journal, ttl_s: int, pause_s: float) -> None:
        self._api = Api(server, patience_s=PATIENCE_S)
        self._worker_id = worker_id
        self._calls = f"/v1/workers/{worker_id}"
        self._journal = journal
        self._ttl_s = ttl_s
        self._pause_s = pause_s
        self._slot = Slot()
        # A heartbeat that hangs is given up before the next one is due.
        beats = Api(server, patience_s=0, answer_s=ttl_s / BEATS_A_TTL)
        self._heartbeat = Heartbeat(beats, worker_id, ttl_s, self._slot)
        self._control = Control(Api(server, patience_s=0), worker_id, self._slot)
        self._poll_no = 0

    def run(self) -> None:
        """Never returns. Raises OSError when the server stays away."""
        self._heartbeat.start()
        self._control.start()
        while True:
            attempts = self._poll()
            while attempts:
                attempts = self._work(Attempt(attempts[0]))

    def _poll(self) -> list[Json]:
        self._poll_no += 1
        body: Json = {
            "worker_id": self._worker_id,
            "poll_id": f"{os.getpid()}-{self._poll_no}",
            "wait_ms": POLL_WAIT_MS,
            "lease_ttl_seconds": self._ttl_s,
        }
        answer = self._api.post("/v1/workers/poll", body)
        if answer["decision"] == "draining":
            time.sleep(DRAINED_PAUSE_S)  # it answers at once while nothing is given out
        attempts: list[Json] = answer["attempts"]
        return attempts

    def _work(self, attempt: Attempt) -> list[Json]:
        """Do one attempt; what to do next, if the ack brought it."""
        self._slot.fill(attempt.lease)
        try:
            return self._ack(attempt, self._end_of(attempt))
        except LeaseLost:
            return []
        except CallError as error:
            if error.reason == "lease_lost":
                return []
            raise
        finally:
            self._slot.clear()

    def _end_of(self, attempt: Attempt) -> Json:
        """Do the work; how the attempt ends. A job that cannot be done fails, and the worker goes on with others.

        Raises LeaseLost, CallError for a lost lease, and OSError when the server stays away.
        """
        try:
            return self._do_all(attempt)
        except (StepFailed, CallError) as error:
            if isinstance(error, CallError) and error.reason == "lease_lost":
                raise
            # Another worker would fare no better with it, also where the server refuses an output as too large.
            told = {"type": type(error).__name__, "message": str(error), "retryable": False}
            return {"terminal_status": "failed", "error": told}

    def _do_all(self, attempt: Attempt) -> Json:
        """Do the steps that are left."""
        self._read_other_steps(attempt)
        for name, step in STEPS:
            if attempt.lease.cancelling.is_set():
                return {"terminal_status": "cancelled", "result": {"steps_done": list(attempt.outputs)}}
            if name not in attempt.outputs:
                self._do(attempt, name, step)
        return {"terminal_status": "completed", "result": attempt.outputs["count_terms"]}

    def _read_other_steps(self, attempt: Attempt) -> None:
        """The answer to a poll holds only so many bytes of steps; the others must be read before going on."""
        after = attempt.steps_next_after
        while after is not None:
            query = f"lease_id={quote(attempt.lease.lease_id)}&after={after}&limit=200"
            page = self._api.get(f"/v1/attempts/{attempt.attempt_id}/steps?{query}")
            attempt.hand_back(page["steps"])
            after = page["next_after"]

    def _do(self, attempt: Attempt, name: str, step: Callable[[Document], Any]) -> None:
        """One step: work, effect, record.

        A death between effect and record is the only way to an effect that shows twice. Where that would harm, give
        the effect a name that stays the same (run and step, as in a payment's idempotency key) to whoever carries it
        out.
        """
        # The pause stands for work that takes long: such work asks now and then whether the lease is still ours.
        if attempt.lease.lost.wait(self._pause_s):
            raise LeaseLost
        try:
            output = step(attempt)
        except Exception as error:  # whatever is wrong with this job, it is not wrong with the next one
            raise StepFailed(f"{name}: {error!r}") from error
        effect: Json = {
            "thread_id": attempt.thread_id,
            "step": name,
            "worker_id": self._worker_id,
            "attempt_no": attempt.attempt_no,
        }
        if name == "store":
            effect["terms"] = attempt.outputs["count_terms"]
        self._journal.append(effect)
        report = {"action_id": name, "status": "succeeded", "output": output}
        token = f"{attempt.lease.lease_id}-{name}"
        self._api.post(f"{self._calls}/report-step", {**attempt.ids, **report, "dedupe_token": token})
        attempt.outputs[name] = output

    def _ack(self, attempt: Attempt, end: Json) -> list[Json]:
        """Finish, and fetch the next in the same commit."""
        body = {**attempt.ids, **end, "poll": {"lease_ttl_seconds": self._ttl_s}}
        following: list[Json] = self._api.post(f"{self._calls}/ack", body)["next"]["attempts"]
        return following


def main() -> None:
    """Work until killed."""
    parser = argparse.ArgumentParser(description="Indexes documents for an Oris server.")
    parser.add_argument("--server", required=True, help="host:port")
    parser.add_argument("--worker-id", required=True)
    parser.add_argument("--journal", required=True, type=Path, help="the file that effects are appended to")
    parser.add_argument("--lease-ttl-seconds", type=int, default=10)
    parser.add_argument("--pause-ms", type=int, default=0, help="before each step, so that a person can follow")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    journal = Journal(given.journal)
    Worker(given.server, given.worker_id, journal, given.lease_ttl_seconds, given.pause_ms / 1000).run()


if __name__ == "__main__":
    main()
