"""Requests and scripts about jobs, shared by the parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

from bench.client import Connection, Script, data_of, post, post_json

BATCH = 100


def submit(thread_id: str, workflow: str = "default") -> bytes:
    """One job."""
    return post_json("/v1/jobs/run", {"thread_id": thread_id, "workflow": workflow, "input": {"n": 1}})


def batch(prefix: str, first: int, number: int) -> bytes:
    """Many jobs in one commit."""
    jobs = ",".join(f'{{"thread_id":"{prefix}-{n}","input":{{"n":{n}}}}}' for n in range(first, first + number))
    return post("/v1/jobs/batch", f'{{"jobs":[{jobs}]}}'.encode())


def batches(prefix: str, number: int) -> Iterator[bytes]:
    """So many jobs, by the hundred."""
    return (batch(prefix, first, min(BATCH, number - first)) for first in range(0, number, BATCH))


def fill(port: int, prefix: str, number: int) -> None:
    """Queue so many jobs. Raises ValueError if one is refused."""
    connection = Connection(port)
    for request in batches(prefix, number):
        check_batch(connection.call(request))
    connection.close()


def check_batch(answer: bytes) -> None:
    """Raises ValueError if a job of a batch was refused."""
    if b'"error"' in answer:
        raise ValueError(answer.decode())


def runs(prefix: str) -> Script:
    """Single durable submits for ever."""
    for number in count():
        yield post("/v1/jobs/run", b'{"thread_id":"%b-%09d","input":{"n":1}}' % (prefix.encode(), number))


def echoes() -> Script:
    """The same bytes to the echo route, for ever."""
    for number in count():
        yield post("/echo", b'{"thread_id":"echo-0-%09d","input":{"n":1}}' % number)


def poll(worker_id: str, **options: object) -> bytes:
    """One poll."""
    return post_json("/v1/workers/poll", {"worker_id": worker_id, **options})


def pairs(worker_id: str, number: int) -> Script:
    """Poll one job, ack it, so many times."""
    ask = poll(worker_id, wait_ms=5000)
    for _ in range(number):
        granted = data_of((yield ask))
        yield post_json(
            f"/v1/workers/{worker_id}/ack",
            {
                "attempt_id": granted["attempt_id"],
                "lease_id": granted["lease_id"],
                "terminal_status": "completed",
                "result": {"n": 1},
            },
        )


class Tally:
    """How many jobs are still to be done, over all workers."""

    def __init__(self, left: int) -> None:
        self.left = left

    def is_done(self) -> bool:
        """Whether all are done."""
        return self.left <= 0


def work(worker_id: str, tally: Tally, at_a_time: int) -> Script:
    """Ack what is held and fetch as much again in one call, until all is done."""
    idle = poll(worker_id, limit=at_a_time, wait_ms=200)
    path = f"/v1/workers/{worker_id}/ack"
    attempts = data_of((yield idle))["attempts"]
    while not tally.is_done():
        if not attempts:
            attempts = data_of((yield idle))["attempts"]
            continue
        acks = [
            {
                "attempt_id": attempt["attempt_id"],
                "lease_id": attempt["lease_id"],
                "terminal_status": "completed",
                "result": {"n": 1},
            }
            for attempt in attempts
        ]
        answer = data_of((yield post(path, json.dumps({"acks": acks, "poll": {"limit": at_a_time}}).encode())))
        done = sum("ok" in result for result in answer["results"])
        if done != len(acks):
            raise ValueError(f"{len(acks) - done} acks were refused: {answer['results']}")
        tally.left -= done
        attempts = answer["next"]["attempts"]


def submits(requests: Iterator[bytes]) -> Script:
    """Batches off a shared list, until it is empty."""
    for request in requests:
        check_batch((yield request))
