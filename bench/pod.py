"""A worker's process that does its jobs, and is killed by some: those whose threads are named so.

python -m bench.pod PORT WORKER WORKFLOW SLOTS KILLED_BY
"""

from __future__ import annotations

import os
import signal
import sys

from bench.client import Connection, data_of, post_json
from bench.jobs import poll
from bench.workers import PARK_MS


def main(port: str, worker_id: str, workflow: str, slots: str, killed_by: str) -> None:
    """`killed_by` is what a thread's name begins with; `t` for all of them. Its leases end a second later."""
    connection = Connection(int(port))
    asked = {"workflows": [workflow], "limit": int(slots), "lease_ttl_seconds": 1, "wait_ms": PARK_MS}
    while True:
        for attempt in data_of(connection.call(poll(worker_id, **asked)))["attempts"]:
            if attempt["thread_id"].startswith(killed_by):
                os.kill(os.getpid(), signal.SIGKILL)
            data_of(connection.call(done(worker_id, attempt)))


def done(worker_id: str, attempt: dict[str, object]) -> bytes:
    """The end of an attempt."""
    named = {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
    return post_json(f"/v1/workers/{worker_id}/ack", {**named, "terminal_status": "completed"})


if __name__ == "__main__":
    main(*sys.argv[1:])
