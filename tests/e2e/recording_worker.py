"""A worker's process for the tests: writes down every attempt it is handed, before it does anything about it.

python recording_worker.py URL WORKER WORKFLOW FILE CONDUCT

The input of a job is a list of questions, or empty. Who has no answers yet asks them. CONDUCT is what then comes:
`finish` acknowledges with the attempt's answers, `hang` holds the lease and says nothing more until it is killed.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import httpx


def main(url: str, worker: str, workflow: str, file: str, conduct: str) -> None:
    """Take one attempt after the other, for ever."""
    line = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with httpx.Client(base_url=url, timeout=60.0) as http:
        while True:
            asked = {"worker_id": worker, "workflows": [workflow], "wait_ms": 20_000, "lease_ttl_seconds": 1}
            for attempt in post(http, "/v1/workers/poll", asked)["attempts"]:
                os.write(line, json.dumps({"worker": worker, "attempt": attempt}).encode() + b"\n")
                work(http, worker, attempt, conduct)


def work(http: httpx.Client, worker: str, attempt: dict[str, Any], conduct: str) -> None:
    """Ask, finish or hang."""
    lease = {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
    if attempt["input"] and not attempt["resumes"]:
        post(http, f"/v1/workers/{worker}/interrupt", lease | {"interrupts": attempt["input"]})
    elif conduct == "finish":
        answers = {resume["key"]: resume["value"] for resume in attempt["resumes"]}
        done = {"terminal_status": "completed", "result": {"worker": worker, "answers": answers}}
        post(http, f"/v1/workers/{worker}/ack", lease | done)
    else:
        sys.stdin.read()


def post(http: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """The data of an answer that has to be a success."""
    response = http.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()["data"]


if __name__ == "__main__":
    main(*sys.argv[1:])
