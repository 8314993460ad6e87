"""An auditor with nothing but HTTP and the documents: every timeline verifies, and a forged export does not."""

from __future__ import annotations

import pytest

from ..auditor import check_export
from .calls import Caller, lease_of
from .server_process import data_of


def export_of(caller: Caller, **query: str) -> bytes:
    """The export, with the clients' values."""
    response = caller.get(f"/v1/jobs/{caller.thread}/timeline/export", payloads="true", **query)
    assert response.status_code == 200
    return response.content


def a_bit_of_everything(caller: Caller) -> None:
    """A run with values of every kind: numbers and blanks as a client writes them, foreign letters, quotes."""
    body = f'{{"thread_id": "{caller.thread}", "workflow": "{caller.name}",'
    body += ' "input": {"n":  1.50, "s": "\\u00e9\\"data\\":"},'
    body += ' "metadata": {"a" : "b"}, "retry_policy": {"strategy": "fixed", "backoff_ms": 0,  "max_retries": 1}}'
    headers = {"content-type": "application/json"}
    assert caller.http.post("/v1/jobs", content=body.encode(), headers=headers).status_code == 200
    attempt = caller.take()
    data_of(caller.report(attempt, '"data":1', output='"payload":2', checkpoint={"values": ["ü"]}))
    data_of(caller.ack(attempt, "failed", error={"type": "Boom", "message": "no"}))
    attempt = caller.take(wait_ms=20_000)
    ask = {"key": "q", "value": {"may": "I?"}}
    asked = data_of(caller.of_worker("interrupt", **lease_of(attempt), interrupts=[ask]))
    data_of(caller.post(f"/v1/interrupts/{asked['interrupts'][0]['interrupt_id']}/resume", value=None))
    data_of(caller.ack(caller.take(), result={"total": 1e3}))


def test_an_auditor_comes_to_the_same_head_from_the_export_alone(caller: Caller) -> None:
    a_bit_of_everything(caller)
    data_of(caller.post(f"/v1/jobs/{caller.thread}/replay"))
    data_of(caller.ack(caller.take()))
    checked = check_export(export_of(caller))
    assert len({event["event_type"] for event in checked["timeline"]}) >= 10
    verified = caller.of_thread("/verify")
    assert verified == {"events": checked["events"], "head_hash": checked["head_hash"], "valid": True}


@pytest.mark.parametrize(
    ("what", "told", "forged"),
    [
        ("an output", b'"\\"payload\\":2"', b'"\\"payload\\":3"'),
        ("a number's writing", b"1.50", b"1.5"),
        ("a worker", b'"worker_id":"w-', b'"worker_id":"v-'),
        ("a policy", b'"max_retries":1', b'"max_retries":2'),
        ("a type", b'"event_type":"completed"', b'"event_type":"cancelled"'),
        ("an attempt", b'"attempt_no":2', b'"attempt_no":3'),
        ("a head", b'"head_hash":"', b'"head_hash":"0'),
    ],
)
def test_an_auditor_finds_what_was_forged_in_an_export(caller: Caller, what: str, told: bytes, forged: bytes) -> None:
    a_bit_of_everything(caller)
    document = export_of(caller)
    check_export(document)
    assert told in document, what
    with pytest.raises(AssertionError):
        check_export(document.replace(told, forged, 1))
