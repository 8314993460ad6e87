"""Events of a newer version, as a node of this one reads them during an upgrade."""

from __future__ import annotations

import pytest

from oris.core.chain import Entry
from oris.core.events import body_of, is_damaged
from oris.ids import JobKey, RunId


def entry(event_type: str, data: bytes) -> Entry:
    return Entry(JobKey("/t"), 1, event_type, RunId("run_" + "0" * 32), 1, None, 0, data, None, bytes(32))


def test_an_event_that_only_a_newer_version_knows_is_shown_as_it_is() -> None:
    newer = entry("signalled", b'{"type":"signalled","name":"go","n":1}')
    assert body_of(newer) is None
    assert not is_damaged(newer)


def test_a_known_event_with_a_field_of_a_newer_version_is_read_without_it() -> None:
    newer = entry("attempt_queued", b'{"type":"attempt_queued","reason":"new"}')
    assert body_of(newer) is not None
    assert not is_damaged(newer)


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("signalled", b'{"type":"signalled"'),
        ("signalled", b'{"type":"other"}'),
        ("signalled", b'{"name":"go"}'),
        ("signalled", b'{"type":"signalled","name":"\xff"}'),
        ("lease_granted", b'{"type":"lease_granted"}'),
        ("lease_granted", b"{}"),
    ],
)
def test_what_is_no_event_of_any_version_is_damaged(event_type: str, data: bytes) -> None:
    assert is_damaged(entry(event_type, data))
