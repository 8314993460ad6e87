"""Payloads are held against the digests that their events have of them, wherever they are read for somebody."""

from __future__ import annotations

from hashlib import sha256

from oris.core.lookups import Lookups, PayloadAt, StoredPayload, look
from oris.errors import DataDamaged
from oris.ids import JobKey


def whole(job_key: JobKey, seq: int, body: bytes | None, digest: bytes | None) -> bytes | None:
    """The payload, when it is what was written; one that was erased is None. Raises DataDamaged."""
    if not is_whole(body, digest):
        raise DataDamaged(job_key, seq)
    return body


def whole_payload(job_key: JobKey, seq: int, found: StoredPayload | None) -> bytes | None:
    """The payload that was found, if any, when it is what was written. Raises DataDamaged."""
    return None if found is None else whole(job_key, seq, found.body, found.digest)


def payload(job_key: JobKey, seq: int) -> Lookups[bytes | None]:
    """Look for the payload of an event. Raises DataDamaged."""
    return whole_payload(job_key, seq, (yield from look(PayloadAt(job_key, seq))))


def is_whole(body: bytes | None, digest: bytes | None) -> bool:
    """Whether this is what was written. Of what no event tells nothing is known."""
    return body is None or digest is None or sha256(body).digest() == digest
