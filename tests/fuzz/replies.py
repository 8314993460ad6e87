"""Answers as bytes, read and judged: whatever was asked, the contract holds for what comes back (docs/api.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from oris.errors import ErrorCode

_REASONS_503 = frozenset({"draining", "inbox_full", "store_unavailable", "outcome_unknown"})
_CODES = frozenset(str(code) for code in ErrorCode) - {"internal"}


class Wrong(Exception):
    """An answer, or the lack of one, that must not be."""


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """The server says that it closes."""
        return self.headers.get("connection") == "close"


def take_reply(buffer: bytearray, *, is_head: bool = False) -> Reply | None:
    """The first whole answer in the buffer, which it leaves; None when there is none yet. Raises Wrong."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    words = first.split(" ")
    if words[0] != "HTTP/1.1" or not words[1].isdigit():
        raise Wrong(f"no answer: {first[:200]!r}")
    status = int(words[1])
    if status == 100:
        del buffer[: end + 4]
        return take_reply(buffer, is_head=is_head)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked" and not is_head:
        return _take_streamed(buffer, end + 4, status, headers)
    if "content-length" not in headers and status != 204 and not is_head:
        raise Wrong(f"an answer without its length: {first!r} {headers}")
    length = 0 if is_head else int(headers.get("content-length", 0))
    if len(buffer) < end + 4 + length:
        return None
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    return Reply(status, headers, body)


def _take_streamed(buffer: bytearray, at: int, status: int, headers: dict[str, str]) -> Reply | None:
    """An answer whose body comes in pieces, once all of them are there."""
    body = bytearray()
    while (line := buffer.find(b"\r\n", at)) >= 0:
        size = int(buffer[at:line], 16)
        at = line + 2 + size + 2
        if len(buffer) < at:
            return None
        body += buffer[line + 2 : line + 2 + size]
        if not size:
            del buffer[:at]
            return Reply(status, headers, bytes(body))
    return None


def judge(reply: Reply, *, is_head: bool = False) -> None:
    """Raises Wrong when an answer breaks the contract."""
    if is_head or "server" in reply.headers:
        if "server" in reply.headers:
            raise Wrong("it tells which software it is")
        return
    if reply.status == 204:
        if reply.body or "content-type" in reply.headers or "content-length" in reply.headers:
            raise Wrong(f"nothing, and yet something: {reply}")
        return
    if reply.headers.get("content-type") == "text/event-stream":
        return
    if reply.headers.get("content-type") != "application/json":
        if reply.status != 200 or not reply.headers.get("content-type", "").startswith("text/plain"):
            raise Wrong(f"no envelope: {reply}")
        return
    envelope = json.loads(reply.body)
    if reply.status == 200 and "openapi" in envelope:
        return
    if envelope.get("request_id") != reply.headers["x-request-id"]:
        raise Wrong(f"not the request_id of the header: {reply}")
    if reply.status == 200:
        if set(envelope) != {"meta", "request_id", "data"}:
            raise Wrong(f"no envelope: {reply}")
        return
    error = envelope["error"]
    if set(envelope) != {"request_id", "error"} or error["code"] not in _CODES or not error["message"]:
        raise Wrong(f"status {reply.status}: {reply.body[:500]!r}")
    if reply.status >= 500 and (reply.status != 503 or error["details"]["reason"] not in _REASONS_503):
        raise Wrong(f"status {reply.status}: {reply.body[:500]!r}")
    if reply.status in (429, 503) and "retry-after" not in reply.headers:
        raise Wrong(f"when to come back is not said: {reply}")
