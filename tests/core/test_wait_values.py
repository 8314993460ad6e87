"""How often a suspension is read for the values of its waits."""

from __future__ import annotations

import pytest

from oris.core.lookups import Lookup, PayloadAt, PayloadBytes, StoredPayload, answered
from oris.core.wait_values import WaitValues
from oris.errors import DataDamaged
from oris.ids import JobKey

BODY = b'[[1,"a"],[2,null],[3,"c"]]'
KEY = JobKey("/t")


def test_a_suspension_is_read_once_for_all_its_waits() -> None:
    read: list[Lookup[object]] = []

    def answer(lookup: Lookup[object]) -> object:
        if isinstance(lookup, PayloadBytes):
            return len(BODY)
        read.append(lookup)
        return StoredPayload(BODY, None)

    values = WaitValues(KEY)
    assert answered(values.unread_bytes("expired", 4, 0), answer) == (0, 26)
    settled = [answered(values.settled("expired", 4, index, 0), answer) for index in range(3)]
    assert settled == [b'"a"', None, b'"c"']
    assert [answered(values.raised(4, index), answer) for index in range(3)] == [b"1", b"2", b"3"]
    assert answered(values.unread_bytes("expired", 4, 0), answer) == (0, 0)
    assert read == [PayloadAt(KEY, 4)]


def test_a_suspension_that_is_not_what_was_written_is_told_as_damaged() -> None:
    with pytest.raises(DataDamaged, match="event 4 "):
        answered(WaitValues(KEY).raised(4, 0), lambda lookup: StoredPayload(BODY, b"\0"))
