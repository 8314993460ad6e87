"""The calls that most tests make, and the shapes of their answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import httpx

from .server_process import data_of

Data = dict[str, Any]

SUBMITTED = {
    "thread_id",
    "run_id",
    "attempt_id",
    "status",
    "interrupts",
    "idempotency_key",
    "idempotent_replay",
    "trace",
}
TRACE = {"trace_id", "span_id", "parent_span_id", "traceparent"}


def has_fields(data: Data, required: Collection[str], optional: Collection[str] = ()) -> None:
    """The answer has all of its fields, and no others."""
    assert set(required) <= set(data) <= set(required) | set(optional), data


@dataclass(frozen=True)
class Caller:
    """A client and a worker in one; `name` keeps what they do apart from other tests of the same server."""

    http: httpx.Client
    name: str

    @property
    def thread(self) -> str:
        """The thread, if there is but one."""
        return f"t-{self.name}"

    @property
    def worker(self) -> str:
        """The worker."""
        return f"w-{self.name}"

    def get(self, path: str, **query: Any) -> httpx.Response:
        """A read."""
        return self.http.get(path, params=query)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """A write."""
        return self.http.post(path, json=body)

    def job(self, **more: Any) -> Data:
        """A job of this test's own workflow."""
        return {"thread_id": self.thread, "workflow": self.name, **more}

    def submit(self, **more: Any) -> Data:
        """Submit a job that is accepted."""
        data: Data = data_of(self.post("/v1/jobs/run", **self.job(**more)))
        return data

    def poll(self, **more: Any) -> Data:
        """Poll for this test's jobs."""
        body = {"worker_id": self.worker, "workflows": [self.name], **more}
        data: Data = data_of(self.post("/v1/workers/poll", **body))
        return data

    def take(self, **more: Any) -> Data:
        """Poll, and get exactly one attempt."""
        polled = self.poll(**more)
        assert polled["decision"] == "dispatched", polled
        (attempt,) = polled["attempts"]
        taken: Data = attempt
        return taken

    def of_worker(self, call: str, **body: Any) -> httpx.Response:
        """A call of the worker."""
        return self.http.post(f"/v1/workers/{self.worker}/{call}", json=body)

    def ack(self, attempt: Data, status: str = "completed", **more: Any) -> httpx.Response:
        """End an attempt."""
        return self.of_worker("ack", **lease_of(attempt), terminal_status=status, **more)

    def report(self, attempt: Data, action: str, status: str = "succeeded", **more: Any) -> httpx.Response:
        """Report a step."""
        body = {"action_id": action, "status": status, "dedupe_token": "1", **more}
        return self.of_worker("report-step", **lease_of(attempt), **body)

    def of_thread(self, what: str = "", **query: Any) -> Data:
        """Read the thread, or a part of it."""
        data: Data = data_of(self.get(f"/v1/jobs/{self.thread}{what}", **query))
        return data


def lease_of(attempt: Data) -> Data:
    """The two ids every write of a worker carries."""
    return {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
