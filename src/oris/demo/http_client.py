"""Calls of the API over one kept connection, sent again until they are answered. Standard library alone.

Every call may be sent again as it is: a repeated poll has the same `poll_id`, a repeated report the same
`dedupe_token`, a submit its `idempotency_key`, and a repeated ack gets the answer of the first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

Json = dict[str, Any]

POLL_WAIT_MS = 20_000
"""For how long a poll is parked."""
ANSWER_S = POLL_WAIT_MS / 1000 + 10
"""For how long any answer is waited for, before the call is sent again over a new connection."""
PATIENCE_S = 10.0
RETRY_S = 0.25


class CallError(Exception):
    """The server refused a call; `reason` is the word of its answer that says why."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')}")
        self.status = status
        details = error.get("details")
        self.reason = details.get("reason") if isinstance(details, dict) else None

    @property
    def is_busy(self) -> bool:
        """Whether the same call may succeed later: the body came too slowly, or the server has no room, or a fault."""
        return self.status in (408, 429) or self.status >= 500

    @property
    def is_of_job(self) -> bool:
        """Whether what was sent for a job will never be taken: malformed, too large, or not the same as before."""
        return self.status in (400, 413) or self.reason == "dedupe_mismatch"

    @property
    def is_of_lease(self) -> bool:
        """Whether there is no such lease any more."""
        return self.status == 404 or self.reason == "lease_lost"


def is_replaced(error: Exception) -> bool:
    """Whether another process has taken the name of this worker, and with it all leases."""
    return isinstance(error, CallError) and error.reason == "session_superseded"


class Api:
    """One kept connection to a server. Of one thread."""

    def __init__(
        self,
        server: str,
        *,
        patience_s: float = PATIENCE_S,
        answer_s: float = ANSWER_S,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """`patience_s` is for how long a call is repeated while the server is away or busy; with 0 it is sent once."""
        self._connection = HTTPConnection(server, timeout=answer_s)
        self.patience_s = patience_s
        self._pause = pause

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def get(self, path: str) -> Json:
        """The `data` of the answer. Raises CallError, and OSError when the server stays away."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Json) -> Json:
        """The same, with a body."""
        return self._call("POST", path, json.dumps(body).encode())

    def _call(self, method: str, path: str, body: bytes | None) -> Json:
        begun_s = time.monotonic()
        while True:
            was_kept = self._connection.sock is not None
            try:
                return self._once(method, path, body)
            except CallError as error:
                if not error.is_busy or time.monotonic() - begun_s >= self.patience_s:
                    raise
            except (OSError, HTTPException, ValueError) as error:
                # Whether it was carried out is not known: the connection broke, or a proxy has answered.
                self._connection.close()
                if was_kept and isinstance(error, ConnectionError):
                    continue  # it had been idle for so long that the server has closed it: no news of the server
                if time.monotonic() - begun_s >= self.patience_s:
                    raise OSError(f"the server does not answer: {error!r}") from error
            self._pause(RETRY_S)

    def _once(self, method: str, path: str, body: bytes | None) -> Json:
        self._connection.request(method, path, body, {"content-type": "application/json"})
        response = self._connection.getresponse()
        answer, word = json.loads(response.read()), "data" if response.status == 200 else "error"
        found: Json | None = answer.get(word) if isinstance(answer, dict) else None
        if not isinstance(found, dict):
            raise ValueError(f"status {response.status}, but this is not a response of Oris")
        if response.status != 200:
            raise CallError(response.status, found)
        return found
