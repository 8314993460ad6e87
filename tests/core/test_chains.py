from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from oris.core import audit
from oris.core import events as ev
from oris.core.audit import Audit
from oris.core.chain import Entry, first_bad_seq
from oris.core.fold import BrokenTimeline, fold
from oris.core.model import RetryPolicy
from oris.core.stamp import Stamp
from oris.ids import WorkerId

from .world import World


def timeline() -> list[Entry]:
    """The events of a run with a bit of everything."""
    world = World()
    job = world.start("t", retry=RetryPolicy("fixed", 0, 1), metadata=b'{"a":"b"}', ttl_ms=1_000)
    world.later(1_000)
    world.sweep("t")
    job = world.grant("t")
    world.reported(job, "a", checkpoint=b"{}")
    world.acked(job, "failed", body=b'"e"')
    world.acked(world.grant("t"))
    return world.entries("t")


FORGERIES: dict[str, Any] = {
    "job_key": "/other",
    "seq": 99,
    "event_type": "cancelled",
    "run_id": "run_" + "0" * 32,
    "attempt_no": 77,
    "worker_id": "mallory",
    "at_ms": 1,
    "data": b'{"type":"attempt_queued"}\n',
    "payload_digest": bytes(32),
    "hash": bytes(32),
    "skew_ms": 5,
}


def test_every_field_of_an_entry_has_a_forgery() -> None:
    assert set(FORGERIES) == set(Entry.__struct_fields__)


@pytest.mark.parametrize("field", FORGERIES)
def test_a_changed_field_of_any_event_is_found(field: str) -> None:
    entries = timeline()
    for n, entry in enumerate(entries):
        forged = [*entries[:n], replace(entry, **{field: FORGERIES[field]}), *entries[n + 1 :]]
        assert first_bad_seq(forged) == n + 1


def test_taking_a_workers_name_or_a_payload_away_is_found() -> None:
    entries = timeline()
    for n, entry in enumerate(entries):
        for forged in (replace(entry, worker_id=None), replace(entry, payload_digest=None)):
            if forged != entry:
                assert first_bad_seq([*entries[:n], forged, *entries[n + 1 :]]) == n + 1


def test_an_empty_workers_name_is_not_the_same_as_none() -> None:
    first = timeline()[0]
    assert first.worker_id is None
    assert first_bad_seq([replace(first, worker_id=WorkerId(""))]) == 1


def test_bytes_moved_from_one_field_to_the_next_are_found() -> None:
    entries = timeline()
    n = next(n for n, entry in enumerate(entries) if entry.payload_digest is not None)
    digest = entries[n].payload_digest
    assert digest is not None
    forged = replace(entries[n], data=entries[n].data + digest, payload_digest=None)
    assert first_bad_seq([*entries[:n], forged, *entries[n + 1 :]]) == n + 1


def test_a_gap_a_swap_and_a_repetition_are_found() -> None:
    entries = timeline()
    for n in range(len(entries) - 1):
        assert first_bad_seq(entries[:n] + entries[n + 1 :]) == n + 1
        assert first_bad_seq([*entries[:n], entries[n + 1], entries[n], *entries[n + 2 :]]) == n + 1
        assert first_bad_seq([*entries[: n + 1], *entries[n:]]) == n + 2


def test_a_timeline_verifies_from_the_middle_on_with_the_hash_before() -> None:
    entries = timeline()
    assert first_bad_seq(entries[3:], entries[2].hash, 3) is None
    assert first_bad_seq(entries[3:], entries[1].hash, 3) == 4


def test_events_of_a_run_that_was_not_created_do_not_fold() -> None:
    entries = timeline()
    with pytest.raises(BrokenTimeline):
        fold(entries[1:])
    with pytest.raises(BrokenTimeline):
        fold([entries[0], replace(entries[1], run_id=FORGERIES["run_id"])])


def test_every_event_reads_back_as_it_was_written() -> None:
    for entry in timeline():
        body = ev.decode(entry.data)
        assert ev.encode(body) == entry.data
        assert body.__struct_config__.tag == entry.event_type


def deed(n: int, resource_id: str = "t") -> Audit:
    return Audit("key", "k1", "admin", "", "127.0.0.1", "job.run", "thread", resource_id, f"req-{n}")


def trail(length: int = 4, start: bytes = bytes(32)) -> list[audit.AuditRecord]:
    """A chain of so many records."""
    head = audit.AuditHead("chain", 0, start)
    records = []
    for n in range(length):
        entry = audit.record(head, deed(n), "ok", b'{"n":%d}' % n, Stamp(1_000 + n, n << 16))
        records.append(entry)
        head = audit.AuditHead(entry.chain_id, entry.seq, entry.hash)
    return records


AUDIT_FORGERIES: dict[str, Any] = {
    **dict.fromkeys(audit.AuditRecord.__struct_fields__, "forged"),
    "seq": 50,
    "created_ms": 5,
    "details": b"{}",
    "hash": bytes(32),
}


def test_an_audit_chain_holds() -> None:
    assert audit.first_bad_record(trail()) is None


@pytest.mark.parametrize("field", AUDIT_FORGERIES)
def test_a_changed_field_of_any_audit_record_is_found(field: str) -> None:
    records = trail()
    for n, entry in enumerate(records):
        forged = [*records[:n], replace(entry, **{field: AUDIT_FORGERIES[field]}), *records[n + 1 :]]
        assert audit.first_bad_record(forged) == n + 1


def test_a_gap_a_swap_and_a_cut_beginning_of_an_audit_chain_are_found() -> None:
    records = trail()
    for n in range(3):
        assert audit.first_bad_record(records[:n] + records[n + 1 :]) == n + 1
        assert audit.first_bad_record([*records[:n], records[n + 1], records[n], *records[n + 2 :]]) == n + 1
    assert audit.first_bad_record(records[1:]) == 1


def test_a_cut_end_and_a_rewritten_chain_are_found_by_the_head_that_the_next_chain_noted() -> None:
    records = trail()
    noted = audit.AuditHead("chain", 4, records[-1].hash)
    assert audit.first_bad_record(records, noted=noted) is None
    assert audit.first_bad_record(trail(6), noted=noted) is None
    assert audit.first_bad_record(records[:-1], noted=noted) == 4
    assert audit.first_bad_record([], noted=noted) == 1
    assert audit.first_bad_record(trail(start=bytes(31) + b"1"), bytes(31) + b"1", noted) == 4


def test_text_moved_from_one_audit_field_to_the_next_is_found() -> None:
    (entry,) = trail(1)
    forged = replace(entry, resource_type="threa", resource_id="d" + entry.resource_id)
    assert audit.first_bad_record([forged]) == 1
