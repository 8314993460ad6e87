"""A worker's process for the tests: takes what there is, says so, then waits for control messages for ever.

python watched_worker.py URL WORKER SESSION LIMIT TTL_SECONDS
"""

from __future__ import annotations

import sys

import httpx


def main(url: str, worker: str, session: str, limit: str, ttl_s: str) -> None:
    """Hold the leases and renew nothing: only its connection tells that it lives."""
    named = {"worker_id": worker, "session": session, "watch": True}
    with httpx.Client(base_url=url, timeout=60.0) as http:
        took = 0
        while took < int(limit):
            asked = {**named, "limit": int(limit) - took, "wait_ms": 20_000, "lease_ttl_seconds": int(ttl_s)}
            polled = http.post("/v1/workers/poll", json=asked).json()["data"]
            took += len(polled["attempts"])
        sys.stdout.write("holding\n")
        sys.stdout.flush()
        while True:
            http.post("/v1/workers/poll", json={**named, "limit": 0, "wait_ms": 50_000}).raise_for_status()


if __name__ == "__main__":
    main(*sys.argv[1:])
