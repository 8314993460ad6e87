"""What waits were raised and settled with: the values stand in the payloads of the events that brought them."""

from __future__ import annotations

import sqlite3

import msgspec
from msgspec import Raw

from oris.ids import JobKey
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.whole import whole

_decoder = msgspec.json.Decoder(list[tuple[Raw, Raw]])


class WaitValues:
    """The values of one thread's waits. What a suspension raised is one payload: it is read and decoded once for all
    of its waits that are asked for one after the other. What is damaged raises DataDamaged.
    """

    def __init__(self, connection: sqlite3.Connection, job_key: JobKey, job_id: int | None) -> None:
        self.job_key = job_key
        self._execute = connection.execute
        self._job_id = job_id
        self._raise_seq = 0
        """The suspension that was read last, and what it raised."""
        self._raise: list[tuple[Raw, Raw]] = []

    def raised(self, value_seq: int, value_index: int) -> bytes | None:
        """What a wait was raised with."""
        return self._of_raise(value_seq, value_index, 0)

    def settled(self, status: str, value_seq: int, value_index: int, settled_seq: int) -> bytes | None:
        """What a wait was settled with: somebody's answer, or what its worker has left for the case of none."""
        if settled_seq:
            return self._payload(settled_seq)
        return self._of_raise(value_seq, value_index, 1) if status == "expired" else None

    def unread_bytes(self, status: str, value_seq: int, settled_seq: int) -> tuple[int, int]:
        """What `settled` would have to read: bytes of an answer, bytes of a suspension that was not read yet."""
        if settled_seq:
            return self._size(settled_seq), 0
        return 0, self._size(value_seq) if status == "expired" and value_seq != self._raise_seq else 0

    def _of_raise(self, seq: int, index: int, which: int) -> bytes | None:
        if seq != self._raise_seq:
            body = self._payload(seq)
            self._raise = [] if body is None else _decoder.decode(body)
            self._raise_seq = seq
        value = bytes(self._raise[index][which]) if self._raise else b"null"
        return None if value == b"null" else value

    def _payload(self, seq: int) -> bytes | None:
        row = self._execute(sql.PAYLOAD, (self._job_id, seq)).fetchone()
        return None if row is None else whole(self.job_key, seq, *row)

    def _size(self, seq: int) -> int:
        row = self._execute(sql.PAYLOAD_BYTES, (self._job_id, seq)).fetchone()
        return 0 if row is None else int(row[0])
