"""The control poll: parked while the slot is full, so that a cancel is heard at once, before the next heartbeat."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from oris.demo.http_client import POLL_WAIT_MS, RETRY_S, Api, Json, is_replaced
from oris.demo.lease import Slot

_log = logging.getLogger("oris.demo.control")


class Control:
    """Asks for control messages alone (`limit: 0`), from a thread and a connection of its own."""

    def __init__(
        self, api: Api, worker_id: str, session: str, slot: Slot, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._api = api
        self._worker_id = worker_id
        self._session = session
        self._slot = slot
        self._pause = pause
        self._poll_no = 0

    def start(self) -> None:
        """Listen in a thread that ends with the process."""
        threading.Thread(target=self._run, name="control", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._slot.is_full.wait()
            self.listen()

    def listen(self) -> None:
        """One parked poll; what it brings is about a lease each."""
        body: Json = {
            "worker_id": self._worker_id,
            "session": self._session,
            "poll_id": f"control-{self._poll_no}",
            "limit": 0,
            "wait_ms": POLL_WAIT_MS,
        }
        try:
            answer = self._api.post("/v1/workers/poll", body)
            messages = [(message["lease_id"], message["type"]) for message in answer["control"]]
        except Exception as error:  # whatever it is: without this thread no cancel is heard
            if is_replaced(error):
                self._slot.lose()
            # The same id again: a message that went with the lost answer comes with the next.
            _log.warning("the control poll failed and is repeated: %s", error)
            self._pause(RETRY_S)
            return
        self._poll_no += 1
        for lease_id, word in messages:
            self._slot.tell(lease_id, word)
        if answer.get("decision") != "noop" and not messages:
            self._pause(RETRY_S)  # a draining server answers at once
