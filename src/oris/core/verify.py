"""Whether a stored timeline is the one that was written: its chain, its payloads, and the row that holds its head."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from oris.core.chain import GENESIS, Entry, first_bad_seq
from oris.core.model import Job


class ChainCheck:
    """Walks a timeline part by part, from its beginning."""

    def __init__(self, after_seq: int = 0, previous: bytes = GENESIS) -> None:
        """`previous` is the hash of the event `after_seq`, when the timeline begins behind it."""
        self.seq = after_seq
        """The last event that is in order."""
        self.events = 0
        """How many are."""
        self.first_bad_seq: int | None = None
        self._hash = previous

    def add(self, lines: Sequence[tuple[Entry, bytes | None]]) -> bool:
        """Look at the next events with their payloads; False: from here on nothing can be said."""
        entries = [entry for entry, _ in lines]
        broken = first_bad_seq(entries, self._hash, self.seq)
        altered = next((entry.seq for entry, payload in lines if not _is_as_chained(entry, payload)), None)
        bad = min((seq for seq in (broken, altered) if seq is not None), default=None)
        sound = [entry for entry in entries if bad is None or entry.seq < bad]
        if sound:
            self.seq, self._hash = sound[-1].seq, sound[-1].hash
            self.events += len(sound)
        self.first_bad_seq = bad
        return bad is None

    def ends_as(self, job: Job) -> bool:
        """Whether the thread's row, read after the last event, tells of this end; False: the row has to be right."""
        if job.seq == self.seq and job.head_hash == self._hash:
            return True
        # Events behind the row's head, a head without its events, or another hash than the last one's.
        self.first_bad_seq = job.seq if job.seq == self.seq else min(job.seq, self.seq) + 1
        return False


def _is_as_chained(entry: Entry, payload: bytes | None) -> bool:
    """A payload that was erased is fine: the chain holds over its digest. One that nobody chained is not."""
    return payload is None or sha256(payload).digest() == entry.payload_digest
