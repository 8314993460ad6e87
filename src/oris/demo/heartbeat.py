"""The heartbeat: renews the lease under work, from a thread and a connection of its own.

It goes on while the server is away. Time in which the server could not commit costs no lease: when the server is back,
the lease has as much time left as it had when the server went, so the first heartbeat that is answered renews it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from oris.demo.http_client import RETRY_S, Api, is_replaced
from oris.demo.lease import Slot

BEATS_A_TTL = 3
"""So two in a row may be lost, and the lease lives."""
_log = logging.getLogger("oris.demo.heartbeat")


class Heartbeat:
    """Renews whatever lease is in the slot."""

    def __init__(
        self,
        api: Api,
        worker_id: str,
        session: str,
        ttl_s: int,
        slot: Slot,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """`api` sends once: what was not answered is sent again from here, with the lease that is held by then."""
        self._api = api
        self._path = f"/v1/workers/{worker_id}/heartbeat"
        self._session = session
        self._ttl_s = ttl_s
        self._slot = slot
        self._pause = pause

    def start(self) -> None:
        """Beat in a thread that ends with the process."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def _run(self) -> None:
        answered = True
        while True:
            self._pause(self._ttl_s / BEATS_A_TTL if answered else RETRY_S)
            answered = self.beat()

    def beat(self) -> bool:
        """Renew the lease, and tell it what the server says of it. False when there was no answer."""
        lease = self._slot.lease
        if lease is None or lease.lost.is_set():
            return True
        # The list form answers 200 and a state also for a lease that is gone.
        body = {"lease_ids": [lease.lease_id], "session": self._session, "lease_ttl_seconds": self._ttl_s}
        try:
            state = self._api.post(self._path, body)["leases"][0]["state"]
        except Exception as error:  # whatever it is: without this thread the lease is lost
            if is_replaced(error):
                self._slot.lose()
            _log.warning("the heartbeat failed and is repeated: %s", error)
            return False
        lease.tell(state)
        return True
