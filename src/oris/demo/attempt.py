"""One attempt at a job, as the poll has brought it and as far as it has got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oris.demo.http_client import Json
from oris.demo.lease import Lease


class Attempt:
    """One attempt at one document."""

    def __init__(self, granted: Json) -> None:
        self.attempt_id: str = granted["attempt_id"]
        self.attempt_no: int = granted["attempt_no"]
        self.lease = Lease(granted["lease_id"])
        self.thread_id: str = granted["thread_id"]
        self.input: Any = granted["input"]
        self.steps_next_after: int | None = granted.get("steps_next_after")
        self.outputs: dict[str, Any] = {}
        self.hand_back(granted["steps"])

    @property
    def path(self) -> Path:
        """The document. Whatever a client has sent as input, only the step that needs it fails."""
        return Path(self.input["path"])

    @property
    def ids(self) -> Json:
        """What every write of a worker carries."""
        return {"attempt_id": self.attempt_id, "lease_id": self.lease.lease_id}

    def hand_back(self, steps: list[Json]) -> None:
        """Take over what earlier attempts have recorded: those steps are not done again."""
        # A step without an output, or with null, has none here.
        self.outputs |= {step["action_id"]: step.get("output") for step in steps if step["status"] == "succeeded"}
