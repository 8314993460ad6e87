"""A whole worker in the standard library alone: the example for workers in any language.

It indexes documents. What any worker does is here and beside it: poll and wait for work, report each step as it is
done, skip the steps that an earlier attempt has recorded, and ack together with the next poll (this file); renew the
lease, also while the server is away (`heartbeat.py`); hear at once of a cancel (`control.py`); send a call again until
it is answered (`http_client.py`). Each process has a session, so that a second one under the same name takes its place
instead of its leases; and at its end (SIGTERM) it gives back what it holds. The steps themselves are in `steps.py`.

    python -m oris.demo.worker --server 127.0.0.1:8080 --worker-id w1 --journal effects.jsonl
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oris.demo.attempt import Attempt
from oris.demo.control import Control
from oris.demo.heartbeat import BEATS_A_TTL, Heartbeat
from oris.demo.http_client import POLL_WAIT_MS, RETRY_S, Api, CallError, Json
from oris.demo.lease import Slot
from oris.demo.steps import STEPS, Document
from oris.demo.stop import Stop, Stopped

PATIENCE_S = 600.0
"""For how long the server may stay away. A worker that has waited so long ends, for whoever runs it to see."""
END_PATIENCE_S = 5.0
"""The same once this worker is asked to end."""
END_ANSWER_S = 3.0
"""For how long the answers to its last calls are waited for."""
MESSAGE_MAX = 1000
"""Characters of an error's message: it may quote the whole document."""
_log = logging.getLogger("oris.demo.worker")


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


class Worker:
    """Polls, works, acks, until it is stopped."""

    def __init__(self, server: str, worker_id: str, journal: Journal, ttl_s: int, pause_s: float) -> None:
        self._server = server
        self._api = Api(server, patience_s=PATIENCE_S)
        self._worker_id = worker_id
        self._session = os.urandom(16).hex()
        self._calls = f"/v1/workers/{worker_id}"
        self._journal = journal
        self._ttl_s = ttl_s
        self._pause_s = pause_s
        self._slot = Slot()
        self._stop = Stop()
        # A heartbeat that hangs is given up before the next one is due.
        beats = Api(server, patience_s=0, answer_s=ttl_s / BEATS_A_TTL)
        self._heartbeat = Heartbeat(beats, worker_id, self._session, ttl_s, self._slot)
        self._control = Control(Api(server, patience_s=0), worker_id, self._session, self._slot)
        self._fetch_no = 0

    def run(self) -> None:
        """Until `stop`. Raises OSError when the server stays away, CallError when it lets this worker do nothing more:
        its credentials are wrong, or another process has taken its name."""
        self._heartbeat.start()
        self._control.start()
        with suppress(Stopped):
            while not self._stop.asked:
                attempts = self._poll()
                while attempts:
                    attempts = self._work(Attempt(attempts[0]))

    def stop(self) -> None:
        """End, from a signal handler: at once where it waits for work, else behind the step at hand."""
        self._api.patience_s = END_PATIENCE_S
        self._stop.ask()

    def _poll(self) -> list[Json]:
        self._fetch_no += 1
        try:
            with self._stop.interrupts():
                answer = self._api.post("/v1/workers/poll", {**self._poll_now(), "wait_ms": POLL_WAIT_MS})
        except Stopped:
            self._give_back_unread()
            raise
        attempts = self._fetched(answer)
        if not attempts and answer.get("decision") != "noop":
            # While nothing is given out the answer comes at once, and says when to ask again.
            with self._stop.interrupts():
                time.sleep(max(RETRY_S, answer.get("retry_after_ms", 0) / 1000))
        return attempts

    def _fetch(self) -> Json:
        """What any poll says, alone or with an ack. Sent again it brings what it was granted."""
        return {"session": self._session, "poll_id": str(self._fetch_no), "lease_ttl_seconds": self._ttl_s}

    def _poll_now(self) -> Json:
        """A poll that does not wait."""
        return {"worker_id": self._worker_id, **self._fetch()}

    def _fetched(self, answer: Json) -> list[Json]:
        """The work in the answer to a poll. Control messages come with any of them, also about the lease it brings."""
        for message in answer.get("control") or ():
            self._slot.tell(message["lease_id"], message["type"])
        return answer.get("attempts") or []

    def _give_back_unread(self) -> None:
        """The poll that was cut off may have been granted a job: the same poll again brings it."""
        answer = self._call_once("/v1/workers/poll", self._poll_now())
        for granted in answer.get("attempts", ()):
            self._release(granted["lease_id"])

    def _release(self, lease_id: str) -> None:
        """Others go on with the job at once, and nobody has lost a lease."""
        self._call_once(f"{self._calls}/release", {"lease_ids": [lease_id]})

    def _call_once(self, path: str, body: Json) -> Json:
        """A call at the end, over a connection that no signal has cut. What it does not reach ends with its lease."""
        with closing(Api(self._server, patience_s=0, answer_s=END_ANSWER_S)) as api:
            try:
                return api.post(path, body)
            except (OSError, CallError) as error:
                _log.warning("releasing failed, so the leases end when they expire: %s", error)
                return {}

    def _work(self, attempt: Attempt) -> list[Json]:
        """Do one attempt; what to do next, if the ack brought it."""
        self._slot.fill(attempt.lease)
        try:
            return self._finish(attempt, self._end_of(attempt))
        except LeaseLost:
            return []
        except (Exception, Stopped) as error:
            if isinstance(error, CallError) and error.is_of_lease:
                return []
            self._release(attempt.lease.lease_id)
            raise
        finally:
            self._slot.clear()

    def _end_of(self, attempt: Attempt) -> Json:
        """Do the work; how the attempt ends. A job that cannot be done fails, and the worker goes on with others.

        Raises LeaseLost, Stopped, CallError for what is not the job's fault, and OSError when the server stays away.
        """
        try:
            return self._do_all(attempt)
        except StepFailed as error:
            return _failed(error)
        except CallError as error:
            if not error.is_of_job:
                raise
            return _failed(error)

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
        with self._stop.interrupts():
            if attempt.lease.lost.wait(self._pause_s):
                raise LeaseLost
        try:
            output = step(attempt)
            json.dumps(output, allow_nan=False)  # what cannot be recorded has failed before its effect
        except Exception as error:  # whatever is wrong with this job, it is not wrong with the next one
            raise StepFailed(f"{name}: {error!r}"[:MESSAGE_MAX]) from error
        if attempt.lease.lost.is_set():
            raise LeaseLost
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

    def _finish(self, attempt: Attempt, end: Json) -> list[Json]:
        """Ack. A job whose end the server does not take, as one with a result that is too large, has failed."""
        try:
            return self._ack(attempt, end)
        except CallError as error:
            if not error.is_of_job:
                raise
            return self._ack(attempt, _failed(error))

    def _ack(self, attempt: Attempt, end: Json) -> list[Json]:
        """Finish, and fetch the next in the same commit."""
        self._fetch_no += 1
        fetch = {} if self._stop.asked else {"poll": self._fetch()}
        answer = self._api.post(f"{self._calls}/ack", {**attempt.ids, **end, **fetch})
        return self._fetched(answer.get("next") or {})


def _failed(error: Exception) -> Json:
    """The end of a job that cannot be done: another worker would fare no better with it."""
    told = {"type": type(error).__name__, "message": str(error)[:MESSAGE_MAX], "retryable": False}
    return {"terminal_status": "failed", "error": told}


def main() -> None:
    """Work until stopped by SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Indexes documents for an Oris server.")
    parser.add_argument("--server", required=True, help="host:port")
    parser.add_argument("--worker-id", required=True)
    parser.add_argument("--journal", required=True, type=Path, help="the file that effects are appended to")
    parser.add_argument("--lease-ttl-seconds", type=int, default=10)
    parser.add_argument("--pause-ms", type=int, default=0, help="seconds to pause before each step, to slow it down")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    journal = Journal(given.journal)
    worker = Worker(given.server, given.worker_id, journal, given.lease_ttl_seconds, given.pause_ms / 1000)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    try:
        worker.run()
    except (OSError, CallError) as error:
        raise SystemExit(f"the worker ends: {error}") from error


if __name__ == "__main__":
    main()
