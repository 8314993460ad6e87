"""A stored timeline: each entry has the hash of the one before it, over its fields and the digest of its payload."""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct

from oris.ids import JobKey, RunId, WorkerId


class Entry(Struct, frozen=True):
    """One line of a timeline, as stored."""

    job_key: JobKey
    seq: int
    event_type: str
    run_id: RunId
    attempt_no: int
    worker_id: WorkerId | None
    at_ms: int
    data: bytes
    """The body, JSON with its type."""
    payload_digest: bytes | None
    hash: bytes
    skew_ms: int = 0
    """How far `at_ms`, which goes by the calendar, was ahead of the engine's time."""


GENESIS = bytes(32)
"""The hash before the first entry of every timeline."""


def link(
    previous: bytes,
    job_key: JobKey,
    seq: int,
    event_type: str,
    at_ms: int,
    run_id: RunId,
    attempt_no: int,
    worker_id: WorkerId | None,
    data: bytes,
    payload_digest: bytes | None,
    skew_ms: int = 0,
) -> bytes:
    """The hash that ties an entry to the one before it."""
    # Every part ends where it says or is counted: no two different entries join to the same bytes.
    worker = "" if worker_id is None else f"@{worker_id}"
    at = f"{at_ms}{skew_ms:+d}" if skew_ms else str(at_ms)
    fields = f"{job_key}\n{seq}\n{event_type}\n{at}\n{run_id}\n{attempt_no}\n{worker}\n{len(data)}\n".encode()
    return sha256(b"".join((previous, fields, data, payload_digest or b""))).digest()


def first_bad_seq(entries: list[Entry], previous: bytes = GENESIS, after_seq: int = 0) -> int | None:
    """Where a timeline stops being gapless and chained; None when it holds from `after_seq` on."""
    for expected, entry in enumerate(entries, after_seq + 1):
        digest = link(
            previous,
            entry.job_key,
            entry.seq,
            entry.event_type,
            entry.at_ms,
            entry.run_id,
            entry.attempt_no,
            entry.worker_id,
            entry.data,
            entry.payload_digest,
            entry.skew_ms,
        )
        if entry.seq != expected or entry.hash != digest:
            return expected
        previous = entry.hash
    return None
