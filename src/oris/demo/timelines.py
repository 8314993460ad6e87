"""What the server has recorded about the demo's jobs, read over its API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oris.demo.http_client import Api

RESULT_WAIT_MS = 20_000
_PAGE = 200


@dataclass(frozen=True)
class Event:
    """One line of a timeline."""

    seq: int
    event_type: str
    attempt_no: int
    worker_id: str | None
    at: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Record:
    """One job with its whole timeline."""

    thread_id: str
    status: str
    events: tuple[Event, ...]

    def of_type(self, event_type: str) -> list[Event]:
        """The events of one type, in order."""
        return [event for event in self.events if event.event_type == event_type]

    @property
    def recorded_steps(self) -> list[Event]:
        """The steps that are recorded as succeeded."""
        return [event for event in self.of_type("step_recorded") if event.data["status"] == "succeeded"]

    @property
    def attempts(self) -> int:
        """How often it was started."""
        return len(self.of_type("lease_granted"))


def record_of(api: Api, thread_id: str) -> Record:
    """Wait for the end of a job, then read its timeline."""
    status = api.get(f"/v1/jobs/{thread_id}/result?wait_ms={RESULT_WAIT_MS}")["status"]
    return Record(thread_id, status, timeline(api, thread_id))


def timeline(api: Api, thread_id: str) -> tuple[Event, ...]:
    """All events of a thread."""
    events: list[Event] = []
    while True:
        page = api.get(f"/v1/jobs/{thread_id}/timeline?after_seq={len(events)}&limit={_PAGE}")["timeline"]
        events += [
            Event(
                line["seq"],
                line["event_type"],
                line["attempt_no"],
                line.get("worker_id"),
                line["created_at"],
                line["data"],
            )
            for line in page
        ]
        if len(page) < _PAGE:
            return tuple(events)


def held_by(api: Api, worker_id: str) -> str | None:
    """The thread that this worker has a lease on."""
    for row in api.get("/v1/jobs?status=running&limit=200")["jobs"]:
        job = api.get(f"/v1/jobs/{row['thread_id']}")
        if job.get("lease", {}).get("worker_id") == worker_id:
            return str(row["thread_id"])
    return None
