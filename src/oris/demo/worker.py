"""A whole worker in the standard library alone: the example for workers in any language.

It indexes documents. What any worker does is here: poll and wait for work, heartbeat while working, report each step
as it is done, skip the steps an earlier attempt has recorded, and ack together with the next poll. Every call may be
sent again as it is: a repeated poll has the same `poll_id`, a repeated report the same `dedupe_token`, and a repeated
ack is answered like the first.

    python -m oris.demo.worker --server 127.0.0.1:8080 --worker-id w1 --journal effects.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

Json = dict[str, Any]

POLL_WAIT_MS = 20_000
PATIENCE_S = 10.0
"""For how long a call is repeated while the server cannot be reached or is busy."""
RETRY_S = 0.1
TOP_TERMS = 40


class CallError(Exception):
    """The server refused a call; `code` and `reason` are the words of its answer."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')}")
        self.status = status
        self.reason = (error.get("details") or {}).get("reason")


class Api:
    """One kept connection to a server. Of one thread."""

    def __init__(self, server: str) -> None:
        self._connection = HTTPConnection(server, timeout=POLL_WAIT_MS / 1000 + 10)

    def get(self, path: str) -> Json:
        """The `data` of the answer. Raises CallError, and OSError when the server stays away."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Json) -> Json:
        """The same, with a body."""
        return self._call("POST", path, json.dumps(body).encode())

    def _call(self, method: str, path: str, body: bytes | None) -> Json:
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._once(method, path, body)
            except CallError as error:
                if error.status not in (429, 503) or time.monotonic() > give_up_s:
                    raise
            except (OSError, HTTPException) as error:
                self._connection.close()
                if time.monotonic() > give_up_s:
                    raise OSError(f"the server does not answer: {error!r}") from error
            time.sleep(RETRY_S)

    def _once(self, method: str, path: str, body: bytes | None) -> Json:
        self._connection.request(method, path, body, {"content-type": "application/json"})
        response = self._connection.getresponse()
        answer: Json = json.loads(response.read())
        if response.status != 200:
            raise CallError(response.status, answer["error"])
        data: Json = answer["data"]
        return data


class Journal:
    """Where effects go: one line each, appended whole, whoever writes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, line: Json) -> None:
        """This is the effect that must not happen twice for a recorded step."""
        os.write(self._file, json.dumps(line).encode() + b"\n")


class Heartbeat:
    """Renews the lease under work from a thread and a connection of its own."""

    def __init__(self, server: str, worker_id: str, ttl_s: int) -> None:
        self._api = Api(server)
        self._path = f"/v1/workers/{worker_id}/heartbeat"
        self._ttl_s = ttl_s
        self._lease_id: str | None = None
        self._lost: set[str] = set()
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def hold(self, lease_id: str | None) -> None:
        """The lease to renew from now on; None: there is no work."""
        self._lost.clear()
        self._lease_id = lease_id

    def is_lost(self, lease_id: str) -> bool:
        """Whether the server has said that this lease is ours no more: stop, somebody else goes on."""
        return lease_id in self._lost

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._ttl_s / 3):
            lease_id = self._lease_id
            if lease_id is not None:
                # The list form answers 200 and a state also for a lease that is gone.
                body = {"lease_ids": [lease_id], "lease_ttl_seconds": self._ttl_s}
                if self._api.post(self._path, body)["leases"][0]["state"] != "held":
                    self._lost.add(lease_id)


class Document(Protocol):
    """What a step sees: the job's input and what the steps before it left."""

    @property
    def path(self) -> Path: ...
    @property
    def outputs(self) -> dict[str, Any]: ...


def read(document: Document) -> str:
    """The text."""
    return document.path.read_text(encoding="utf-8")


def split(document: Document) -> list[str]:
    """The words of the text, in order."""
    return re.findall(r"[a-z][a-z_]{2,}", document.outputs["read"].lower())


def count_terms(document: Document) -> dict[str, int]:
    """The most frequent words, with how often they come."""
    return dict(Counter(document.outputs["split"]).most_common(TOP_TERMS))


def store(document: Document) -> int:
    """How many terms went into the index; the line in the journal is the index."""
    return len(document.outputs["count_terms"])


STEPS: tuple[tuple[str, Callable[[Document], Any]], ...] = (
    ("read", read),
    ("split", split),
    ("count_terms", count_terms),
    ("store", store),
)


class Attempt:
    """One attempt at one document."""

    def __init__(self, granted: Json) -> None:
        self.attempt_id: str = granted["attempt_id"]
        self.attempt_no: int = granted["attempt_no"]
        self.lease_id: str = granted["lease_id"]
        self.thread_id: str = granted["thread_id"]
        self.path = Path(granted["input"]["path"])
        self.steps_next_after: int | None = granted.get("steps_next_after")
        self.outputs: dict[str, Any] = {}
        self.hand_back(granted["steps"])

    def hand_back(self, steps: list[Json]) -> None:
        """Take over what earlier attempts have recorded: those steps are not done again."""
        self.outputs |= {step["action_id"]: step["output"] for step in steps if step["status"] == "succeeded"}


class Worker:
    """Polls, works, acks, for ever."""

    def __init__(self, server: str, worker_id: str, journal: Journal, ttl_s: int, pause_s: float) -> None:
        self._api = Api(server)
        self._worker_id = worker_id
        self._calls = f"/v1/workers/{worker_id}"
        self._journal = journal
        self._ttl_s = ttl_s
        self._pause_s = pause_s
        self._heartbeat = Heartbeat(server, worker_id, ttl_s)
        self._poll_no = 0

    def run(self) -> None:
        """Never returns. Raises OSError when the server stays away."""
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
        attempts: list[Json] = self._api.post("/v1/workers/poll", body)["attempts"]
        return attempts

    def _work(self, attempt: Attempt) -> list[Json]:
        """Do one attempt; what to do next, if the ack brought it."""
        self._heartbeat.hold(attempt.lease_id)
        try:
            self._read_other_steps(attempt)
            for name, step in STEPS:
                if self._heartbeat.is_lost(attempt.lease_id):
                    return []
                if name not in attempt.outputs:
                    self._do(attempt, name, step)
            return self._ack(attempt, {"terminal_status": "completed", "result": attempt.outputs["count_terms"]})
        except (FileNotFoundError, UnicodeDecodeError) as error:
            told = {"type": type(error).__name__, "message": str(error), "retryable": False}
            return self._ack(attempt, {"terminal_status": "failed", "error": told})
        except CallError as error:
            if error.reason == "lease_lost":
                return []
            raise
        finally:
            self._heartbeat.hold(None)

    def _read_other_steps(self, attempt: Attempt) -> None:
        """The answer to a poll holds only so many bytes of steps; the others must be read before going on."""
        after = attempt.steps_next_after
        while after is not None:
            query = f"lease_id={quote(attempt.lease_id)}&after={after}&limit=200"
            page = self._api.get(f"/v1/attempts/{attempt.attempt_id}/steps?{query}")
            attempt.hand_back(page["steps"])
            after = page["next_after"]

    def _do(self, attempt: Attempt, name: str, step: Callable[[Document], Any]) -> None:
        """One step: work, effect, record. Dying between the last two is the only way to an effect that shows twice."""
        time.sleep(self._pause_s)
        output = step(attempt)
        effect: Json = {
            "thread_id": attempt.thread_id,
            "step": name,
            "worker_id": self._worker_id,
            "attempt_no": attempt.attempt_no,
        }
        if name == "store":
            effect["terms"] = attempt.outputs["count_terms"]
        self._journal.append(effect)
        self._api.post(
            f"{self._calls}/report-step",
            {
                "attempt_id": attempt.attempt_id,
                "lease_id": attempt.lease_id,
                "action_id": name,
                "status": "succeeded",
                "dedupe_token": f"{attempt.lease_id}-{name}",
                "output": output,
            },
        )
        attempt.outputs[name] = output

    def _ack(self, attempt: Attempt, end: Json) -> list[Json]:
        """Finish, and fetch the next in the same commit."""
        body = {"attempt_id": attempt.attempt_id, "lease_id": attempt.lease_id, **end}
        body["poll"] = {"lease_ttl_seconds": self._ttl_s}
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
    journal = Journal(given.journal)
    Worker(given.server, given.worker_id, journal, given.lease_ttl_seconds, given.pause_ms / 1000).run()


if __name__ == "__main__":
    main()
