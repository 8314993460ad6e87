"""A timeline checked by somebody who has nothing but its export and docs/api.md: not a line of the program is used.

    hash = SHA-256(hash before | fields | data | payload digest)

The data has to be the exported bytes, so the document is read as text, piece by piece.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

GENESIS = bytes(32)
_scan = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class Line:
    """One event of an export, with the text of its two values as it stands there."""

    event: dict[str, Any]
    data: bytes
    payload: bytes | None


def check_export(document: bytes) -> dict[str, Any]:
    """The export's data, after every hash, every payload that is there and the head were found as they must be."""
    whole = json.loads(document)["data"]
    job_key = f"{whole['tenant_id']}/{whole['thread_id']}"
    previous = GENESIS
    lines = read_lines(document.decode())
    assert [line.event for line in lines] == whole["timeline"]
    assert len(lines) == whole["events"]
    for seq, line in enumerate(lines, 1):
        assert line.event["seq"] == seq
        previous = link(previous, job_key, line)
        assert previous.hex() == line.event["hash"], f"the chain breaks at seq {seq}"
        if line.payload is not None:
            assert sha256(line.payload).hexdigest() == line.event["payload_digest"], f"the payload of seq {seq}"
    assert previous.hex() == whole["head_hash"]
    return dict(whole)


def link(previous: bytes, job_key: str, line: Line) -> bytes:
    """The hash of an event."""
    event = line.event
    skew = f"{event['skew_ms']:+d}" if "skew_ms" in event else ""
    worker = f"@{event['worker_id']}" if "worker_id" in event else ""
    told = (
        job_key,
        event["seq"],
        event["event_type"],
        f"{milliseconds(event['created_at'])}{skew}",
        event["run_id"],
        event["attempt_no"],
        worker,
        len(line.data),
    )
    fields = "".join(f"{part}\n" for part in told).encode()
    return sha256(previous + fields + line.data + bytes.fromhex(event["payload_digest"] or "")).digest()


def read_lines(document: str) -> list[Line]:
    """The events of an export; names of events, workers and runs hold no quotation marks."""
    lines = []
    at = document.index('"timeline":[') + len('"timeline":[')
    while document[at] == "{":
        event, end = _scan(document, at)
        data, after = _text(document, '"data":', at)
        payload = _text(document, '"payload":', after)[0] if "payload" in event else None
        lines.append(Line(event, data, payload))
        at = end + (document[end] == ",")
    return lines


def milliseconds(moment: str) -> int:
    """A time of an answer as a whole number since 1970."""
    at = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)


def _text(document: str, name: str, start: int) -> tuple[bytes, int]:
    """The value after a name, as it is written, and where it ends."""
    begin = document.index(name, start) + len(name)
    _, end = _scan(document, begin)
    return document[begin:end].encode(), end
