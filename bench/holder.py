"""A worker's process, to be killed: takes its leases, says so, and waits for control messages.

python -m bench.holder PORT WORKER WORKFLOW LEASES TTL_SECONDS
"""

from __future__ import annotations

import sys

from bench.client import Connection, data_of
from bench.workers import PARK_MS, watched


def main(port: str, worker_id: str, workflow: str, leases: str, ttl_s: str) -> None:
    """Only its connection tells that it lives."""
    connection = Connection(int(port))
    asked = {"workflows": [workflow], "limit": int(leases), "lease_ttl_seconds": int(ttl_s), "wait_ms": PARK_MS}
    granted = data_of(connection.call(watched(worker_id, **asked)))["attempts"]
    print(f"holds {len(granted)}", flush=True)
    while True:
        connection.call(watched(worker_id, limit=0, wait_ms=PARK_MS))


if __name__ == "__main__":
    main(*sys.argv[1:])
