"""What waits were raised and settled with: the values stand in the payloads of the events that brought them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from oris.core.lookups import Lookups, PayloadBytes, look
from oris.core.model import Wait
from oris.core.replies import RaisedWait
from oris.core.whole import payload
from oris.errors import DataDamaged
from oris.ids import JobKey

_decoder = msgspec.json.Decoder(list[tuple[Raw, Raw]])


class WaitValue(Struct, frozen=True):
    """What a wait was raised with, and what it was settled with; None: with nothing, or it is not settled."""

    raised: bytes | None
    settled: bytes | None
    damaged_seq: int = 0
    """The event whose payload is not what was written; neither value is told then. 0: none."""

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.raised or b"") + len(self.settled or b"")


class WaitValues:
    """The values of one thread's waits. What a suspension raised is one payload: it is read and decoded once for all
    of its waits that are asked for one after the other. What is damaged raises DataDamaged.
    """

    def __init__(self, job_key: JobKey) -> None:
        self.job_key = job_key
        self._raise_seq = 0
        """The suspension that was read last, and what it raised."""
        self._raise: list[tuple[Raw, Raw]] = []

    def raised(self, value_seq: int, value_index: int) -> Lookups[bytes | None]:
        """What a wait was raised with."""
        return self._of_raise(value_seq, value_index, 0)

    def settled(self, status: str, value_seq: int, value_index: int, settled_seq: int) -> Lookups[bytes | None]:
        """What a wait was settled with: somebody's answer, or what its worker has left for the case of none."""
        if settled_seq:
            return (yield from payload(self.job_key, settled_seq))
        return (yield from self._of_raise(value_seq, value_index, 1)) if status == "expired" else None

    def unread_bytes(self, status: str, value_seq: int, settled_seq: int) -> Lookups[tuple[int, int]]:
        """What `settled` would have to read: bytes of an answer, bytes of a suspension that was not read yet."""
        if settled_seq:
            return (yield from look(PayloadBytes(self.job_key, settled_seq))), 0
        if status != "expired" or value_seq == self._raise_seq:
            return 0, 0
        return 0, (yield from look(PayloadBytes(self.job_key, value_seq)))

    def _of_raise(self, seq: int, index: int, which: int) -> Lookups[bytes | None]:
        if seq != self._raise_seq:
            body = yield from payload(self.job_key, seq)
            self._raise = [] if body is None else _decoder.decode(body)
            self._raise_seq = seq
        value = bytes(self._raise[index][which]) if self._raise else b"null"
        return None if value == b"null" else value


def values_of_waits(waits: Sequence[Wait], max_bytes: int) -> Lookups[Sequence[WaitValue]]:
    """What waits were raised and settled with: of the first ones, as many as `max_bytes` hold, one at least."""
    found: list[WaitValue] = []
    values: WaitValues | None = None
    for wait in waits:
        if values is None or wait.job_key != values.job_key:
            values = WaitValues(wait.job_key)
        value = yield from _value(values, wait)
        max_bytes -= value.size
        if found and max_bytes < 0:
            break
        found.append(value)
    return found


def settled_values(job_key: JobKey, waits: Sequence[RaisedWait], max_bytes: int) -> Lookups[Sequence[bytes | None]]:
    """What waits of a thread were settled with: of the first ones, as many as `max_bytes` hold, one at least."""
    found: list[bytes | None] = []
    values = WaitValues(job_key)
    for wait in waits:
        value = yield from values.settled(wait.status, wait.value_seq, wait.value_index, wait.settled_seq)
        max_bytes -= len(value or b"")
        if found and max_bytes < 0:
            break
        found.append(value)
    return found


def _value(values: WaitValues, wait: Wait) -> Lookups[WaitValue]:
    try:
        settled = yield from values.settled(wait.status, wait.value_seq, wait.value_index, wait.settled_seq)
        return WaitValue((yield from values.raised(wait.value_seq, wait.value_index)), settled)
    except DataDamaged as error:
        return WaitValue(None, None, error.seq)
