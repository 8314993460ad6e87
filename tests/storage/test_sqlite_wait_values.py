"""How often SQLite reads a suspension for the values of its waits."""

from __future__ import annotations

import sqlite3

import pytest

from oris.errors import DataDamaged
from oris.ids import JobKey
from oris.storage.sqlite.wait_values import WaitValues


def test_a_suspension_is_read_once_for_all_its_waits() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE runtime_payloads (job_id, seq, body)")
    connection.execute("CREATE TABLE runtime_events (job_id, seq, payload_digest)")
    connection.execute('INSERT INTO runtime_payloads VALUES (1, 4, CAST(\'[[1,"a"],[2,null],[3,"c"]]\' AS BLOB))')
    read: list[str] = []
    values = WaitValues(connection, JobKey("/t"), 1)
    connection.set_trace_callback(read.append)
    assert values.unread_bytes("expired", 4, 0) == (0, 26)
    assert [values.settled("expired", 4, index, 0) for index in range(3)] == [b'"a"', None, b'"c"']
    assert [values.raised(4, index) for index in range(3)] == [b"1", b"2", b"3"]
    assert values.unread_bytes("expired", 4, 0) == (0, 0)
    connection.execute("INSERT INTO runtime_events VALUES (1, 4, x'00')")
    with pytest.raises(DataDamaged, match="event 4 "):
        WaitValues(connection, JobKey("/t"), 1).raised(4, 0)
    connection.close()
    read.pop()
    assert sum("SELECT p.body" in statement for statement in read) == 1
