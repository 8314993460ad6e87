"""What a worker knows of the lease it works under. Its heartbeat and its control poll tell, its steps ask."""

from __future__ import annotations

import threading


class Lease:
    """One lease. May be asked and told by any thread."""

    def __init__(self, lease_id: str) -> None:
        self.lease_id = lease_id
        self.lost = threading.Event()
        """Set when it is ours no more (cancelled, timed out, expired): stop at once, whatever we write is refused."""
        self.cancelling = threading.Event()
        """Set when somebody asks for an orderly end: finish the step at hand, record it, and ack."""

    def tell(self, word: str) -> None:
        """Take in a heartbeat's `state` or the `type` of a control message."""
        if word in ("cancelling", "graceful_cancel"):
            self.cancelling.set()
        elif word != "held":
            self.lost.set()


class Slot:
    """The worker's one place for work."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        """The lease in it; None while it is free."""
        self.is_full = threading.Event()
        self._told: dict[str, str] = {}

    def fill(self, lease: Lease) -> None:
        """Work begins."""
        self.lease = lease
        # A cancel may be heard before the answer that brought the lease has been read.
        if lease.lease_id in self._told:
            lease.tell(self._told[lease.lease_id])
        self._told.clear()
        self.is_full.set()

    def tell(self, lease_id: str, word: str) -> None:
        """Take in what was said of a lease, whether it is in the slot, is about to be, or has left it."""
        self._told[lease_id] = word
        lease = self.lease
        if lease is not None and lease.lease_id == lease_id:
            lease.tell(word)

    def lose(self) -> None:
        """Whatever is in the slot is ours no more."""
        if self.lease is not None:
            self.lease.lost.set()

    def clear(self) -> None:
        """Work is over, however it ended."""
        self.is_full.clear()
        self.lease = None
