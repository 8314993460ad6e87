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
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oris.demo.attempt import Attempt
from oris.demo.control import Control
from oris.demo.heartbeat import BEATS_A_TTL, Heartbeat
from oris.demo.http_client import POLL_WAIT_MS, Api, CallError, Json
from oris.demo.lease import Slot
from oris.demo.steps import STEPS, Document

PATIENCE_S = 600.0
"""For how long the server may stay away. A worker that has waited so long ends, for whoever runs it to see."""
MESSAGE_MAX = 1000
"""Characters of an error's message: it may quote the whole document."""
_log = logging.getLogger("oris.demo.worker")


class Stopped(BaseException):
    """Somebody ends this worker while it waits for work."""


class LeaseLost(Exception):
    """The job is ours no more, or this worker ends: drop it, somebody else goes on or it is over."""


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
        try:
            while not self._slot.is_stopping:
                attempts = self._poll()
                while attempts:
                    attempts = self._work(Attempt(attempts[0]))
        except Stopped:
            self._give_back_unread()

    def stop(self) -> None:
        """End, from a signal handler: at once where there is no work, else behind the step at hand; and asked twice, at
        once. A server that is away is waited for no longer."""
        is_first = not self._slot.is_stopping
        self._slot.stop()
        self._api.patience_s = 0
        if not is_first or self._slot.lease is None:
            raise Stopped

    def _poll(self) -> list[Json]:
        self._fetch_no += 1
        answer = self._api.post("/v1/workers/poll", {**self._poll_now(), "wait_ms": POLL_WAIT_MS})
        self._hear(answer)
        if not answer["attempts"]:
            # While nothing is given out the answer comes at once, and says when to ask again.
            time.sleep(answer.get("retry_after_ms", 0) / 1000)
        attempts: list[Json] = answer["attempts"]
        return attempts

    def _fetch(self) -> Json:
        """What any poll says, alone or with an ack. Sent again it brings what it was granted."""
        return {"session": self._session, "poll_id": str(self._fetch_no), "lease_ttl_seconds": self._ttl_s}

    def _poll_now(self) -> Json:
        """A poll that does not wait."""
        return {"worker_id": self._worker_id, **self._fetch()}

    def _hear(self, answer: Json) -> None:
        """Control messages come with any poll, also about the lease that it brings."""
        for message in answer["control"]:
            self._slot.tell(message["lease_id"], message["type"])

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
        with closing(Api(self._server, patience_s=0)) as api:
            try:
                return api.post(path, body)
            except (OSError, CallError) as error:
                _log.warning("a lease that is not given back ends by itself: %s", error)
                return {}

    def _work(self, attempt: Attempt) -> list[Json]:
        """Do one attempt; what to do next, if the ack brought it."""
        self._slot.fill(attempt.lease)
        try:
            return self._finish(attempt, self._end_of(attempt))
        except LeaseLost:
            if self._slot.is_stopping:
                self._release(attempt.lease.lease_id)
            return []
        except CallError as error:
            if not error.is_of_lease:
                raise
            return []
        finally:
            self._slot.clear()

    def _end_of(self, attempt: Attempt) -> Json:
        """Do the work; how the attempt ends. A job that cannot be done fails, and the worker goes on with others.

        Raises LeaseLost, CallError for what is not the job's fault, and OSError when the server stays away.
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
        if attempt.lease.lost.wait(self._pause_s):
            raise LeaseLost
        try:
            output = step(attempt)
        except Exception as error:  # whatever is wrong with this job, it is not wrong with the next one
            raise StepFailed(f"{name}: {error!r}"[:MESSAGE_MAX]) from error
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
        fetch = {} if self._slot.is_stopping else {"poll": self._fetch()}
        answer = self._api.post(f"{self._calls}/ack", {**attempt.ids, **end, **fetch})
        if "next" not in answer:
            return []
        self._hear(answer["next"])
        attempts: list[Json] = answer["next"]["attempts"]
        return attempts


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
    parser.add_argument("--pause-ms", type=int, default=0, help="before each step, so that a person can follow")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    journal = Journal(given.journal)
    worker = Worker(given.server, given.worker_id, journal, given.lease_ttl_seconds, given.pause_ms / 1000)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    try:
        worker.run()
    except Stopped:
        _log.warning("what is held goes on when its lease ends")
    except (OSError, CallError) as error:
        raise SystemExit(f"the worker ends: {error}") from error


if __name__ == "__main__":
    main()
