"""People in the loop, over HTTP: a run asks, people answer, it goes on, also after its worker was killed once more."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from .calls import Caller, Data, has_fields, lease_of
from .server_process import ServerProcess, data_of, error_of, serving

VIEW = {
    *("interrupt_id", "thread_id", "run_id", "attempt_id", "workflow", "tenant_id", "key", "value", "status"),
    *("on_expire", "on_reject", "expires_at", "created_at", "settled_at", "settled_by", "settled_value"),
}


def ask(caller: Caller, attempt: Data, *interrupts: Data, **more: Data) -> Data:
    """The worker has questions."""
    data: Data = data_of(caller.of_worker("interrupt", **lease_of(attempt), interrupts=list(interrupts), **more))
    return data


def question(key: str = "approve", **more: object) -> Data:
    return {"key": key, "value": {"amount": 12.50, "for": key}, **more}


def test_run_interrupt_resume_inspect(caller: Caller) -> None:
    caller.submit(input={"pages": 3})
    asked = ask(caller, caller.take(), question(), checkpoint={"values": {"step": 1}})
    assert (asked["status"], asked["interrupts"][0]["status"]) == ("interrupted", "pending")
    interrupt_id = asked["interrupts"][0]["interrupt_id"]
    shown = data_of(caller.get(f"/v1/interrupts/{interrupt_id}"))
    has_fields(shown, VIEW)
    assert (shown["value"], shown["status"], shown["settled_value"]) == (question()["value"], "pending", None)
    assert caller.of_thread()["status"] == "interrupted"
    assert caller.of_thread("/explain")["reason"] == "interrupted"
    detail = caller.of_thread("/detail")
    assert [wait["interrupt_id"] for wait in detail["pending_interrupts"]] == [interrupt_id]
    assert detail["observability"]["lease_graph"][0]["ended_by"] == "suspended"
    resumed = data_of(caller.post(f"/v1/interrupts/{interrupt_id}/resume", value={"ok": True, "by": "ann"}))
    settled = caller.of_thread("/detail")
    assert settled["pending_interrupts"] == []
    assert len(settled["observability"]["interrupt_latency_ms"]) == 1
    assert (resumed["status"], resumed["settled_value"]) == ("resumed", {"ok": True, "by": "ann"})
    attempt = caller.take()
    assert (attempt["attempt_no"], attempt["checkpoint"]["values"]) == (1, {"step": 1})
    assert attempt["resumes"] == [
        {
            "wait_id": interrupt_id,
            "kind": "interrupt",
            "key": "approve",
            "status": "resumed",
            "value": {"ok": True, "by": "ann"},
        }
    ]
    assert data_of(caller.ack(attempt, result=1))["status"] == "completed"
    events = [event["event_type"] for event in caller.of_thread("/timeline")["timeline"]]
    assert [e for e in events if e in ("suspended", "wait_settled", "resumed")] == [
        "suspended",
        "wait_settled",
        "resumed",
    ]


def test_a_submit_that_waits_is_told_what_the_run_asks(caller: Caller) -> None:
    caller.submit()
    ask(caller, caller.take(), question("a"), question("b", expires_in_ms=60_000))
    again = data_of(caller.post("/v1/jobs/run", **caller.job(thread_id=f"{caller.thread}-2", idempotency_key="k")))
    attempt = caller.take()
    ask(caller, attempt, question("a"), question("b", expires_in_ms=60_000))
    body = caller.job(thread_id=f"{caller.thread}-2", idempotency_key="k", wait_ms=20_000)
    told = data_of(caller.post("/v1/jobs/run", **body))
    assert (told["status"], told["run_id"]) == ("interrupted", again["run_id"])
    assert [(asked["key"], asked["value"]["for"]) for asked in told["interrupts"]] == [("a", "a"), ("b", "b")]
    assert told["interrupts"][0]["expires_at"] is None
    assert told["interrupts"][1]["expires_at"] is not None


def test_three_in_parallel_two_answered_one_expired_go_on_with_each_value_also_after_a_kill(caller: Caller) -> None:
    caller.submit()
    expiring = question("slow", expires_in_ms=50, on_expire="resume", expire_value={"default": [1, 2]})
    asked = ask(caller, caller.take(), question("x"), question("y"), expiring)
    ids = {one["key"]: one["interrupt_id"] for one in asked["interrupts"]}
    for key in ("x", "y"):
        data_of(caller.post(f"/v1/interrupts/{ids[key]}/resume", value=f"to {key}"))
    expected = {"x": ("resumed", "to x"), "y": ("resumed", "to y"), "slow": ("expired", {"default": [1, 2]})}
    attempt = caller.take(wait_ms=20_000, lease_ttl_seconds=1)
    assert {one["key"]: (one["status"], one["value"]) for one in attempt["resumes"]} == expected
    heir = caller.take(worker_id=f"{caller.worker}-heir", wait_ms=20_000)
    assert heir["attempt_no"] == 2, "the first one was killed and never heard of again"
    assert {one["key"]: (one["status"], one["value"]) for one in heir["resumes"]} == expected


def test_an_expired_question_fails_the_run_when_its_worker_has_said_so(caller: Caller) -> None:
    caller.submit()
    ask(caller, caller.take(), question("x", expires_in_ms=1, on_expire="fail"), question("y"))
    ended = data_of(caller.get(f"/v1/jobs/{caller.thread}/result", wait_ms=20_000))
    assert (ended["status"], ended["error"]["type"]) == ("failed", "interrupt_expired")
    found = data_of(caller.get("/v1/interrupts", thread_id=caller.thread))["interrupts"]
    assert [(one["key"], one["status"]) for one in found] == [("y", "dropped"), ("x", "expired")]


def test_a_no_that_lets_the_run_go_on_tells_its_worker_why(caller: Caller) -> None:
    caller.submit()
    asked = ask(caller, caller.take(), question("x", on_reject="resume"), question("y", on_reject="resume"))
    x, y = (one["interrupt_id"] for one in asked["interrupts"])
    assert data_of(caller.post(f"/v1/interrupts/{x}/reject", reason="too dear"))["settled_value"] == "too dear"
    assert data_of(caller.post(f"/v1/interrupts/{y}/reject"))["settled_value"] is None
    assert data_of(caller.get(f"/v1/interrupts/{x}"))["settled_value"] == "too dear"
    resumes = caller.take()["resumes"]
    assert [(one["key"], one["status"], one["value"]) for one in resumes] == [
        ("x", "rejected", "too dear"),
        ("y", "rejected", None),
    ]


def test_a_retried_answer_to_a_thread_names_its_question(caller: Caller) -> None:
    caller.submit()
    ask(caller, caller.take(), question("test"))
    path = f"/v1/jobs/{caller.thread}/resume"
    told = data_of(caller.post(path, value="yes", key="test"))
    ask(caller, caller.take(), question("production"))
    assert data_of(caller.post(path, value="yes", key="test")) == told
    assert caller.of_thread()["status"] == "interrupted"


def test_rejecting_cancels_the_run_and_says_why(caller: Caller) -> None:
    caller.submit()
    asked = ask(caller, caller.take(), question())
    path = f"/v1/interrupts/{asked['interrupts'][0]['interrupt_id']}"
    told = data_of(caller.post(f"{path}/reject", reason="too dear"))
    assert (told["status"], caller.of_thread()["status"], caller.of_thread()["reason"]) == (
        "rejected",
        "cancelled",
        "rejected",
    )
    assert data_of(caller.post(f"{path}/reject", reason="too dear")) == told
    assert error_of(caller.post(f"{path}/resume", value=1))[2]["reason"] == "interrupt_settled"


def test_a_threads_only_question_is_answered_through_the_thread(caller: Caller) -> None:
    path = f"/v1/jobs/{caller.thread}/resume"
    assert caller.post(path, value=1).status_code == 404
    caller.submit()
    attempt = caller.take()
    assert error_of(caller.post(path, value=1))[2] == {"reason": "nothing_pending"}
    asked = ask(caller, attempt, question("a"), question("b"))
    status, _, details = error_of(caller.post(path, value=1))
    ids = [one["interrupt_id"] for one in asked["interrupts"]]
    assert (status, details) == (409, {"reason": "several_pending", "interrupt_ids": ids})
    data_of(caller.post(f"/v1/interrupts/{ids[0]}/resume", value=1))
    assert data_of(caller.post(path, value=2))["interrupt_id"] == ids[1]
    assert data_of(caller.post(path, value=2))["interrupt_id"] == ids[1]
    assert error_of(caller.post(path, value=3))[2]["reason"] == "resume_mismatch"
    assert error_of(caller.post(path, value=3, run_id="run_other"))[2]["reason"] == "run_mismatch"


def test_the_list_of_questions_is_filtered_and_paged(caller: Caller) -> None:
    caller.submit()
    asked = ask(caller, caller.take(), *(question(f"k{n}") for n in range(3)))
    run = caller.of_thread()["run_id"]
    data_of(caller.post(f"/v1/interrupts/{asked['interrupts'][1]['interrupt_id']}/resume", value=None))
    for query in ({"run_id": run}, {"thread_id": caller.thread}, {"workflow": caller.name}):
        page = data_of(caller.get("/v1/interrupts", limit=2, **query))
        assert [one["key"] for one in page["interrupts"]] == ["k2", "k1"]
        rest = data_of(caller.get("/v1/interrupts", cursor=page["next_cursor"], **query))
        assert [one["key"] for one in rest["interrupts"]] == ["k0"]
        pending = data_of(caller.get("/v1/interrupts", status="pending", **query))["interrupts"]
        assert [one["key"] for one in pending] == ["k2", "k0"]
    assert caller.get("/v1/interrupts", status="unknown").status_code == 400
    assert caller.get("/v1/interrupts/int_x").status_code == 404


def test_a_timer_brings_the_run_back_by_itself(caller: Caller) -> None:
    caller.submit()
    wait = {"kind": "time", "key": "nap", "after_ms": 30}
    suspended = data_of(caller.of_worker("suspend", **lease_of(caller.take()), waits=[wait]))
    assert (suspended["status"], suspended["waits"][0]["status"]) == ("suspended", "pending")
    attempt = caller.take(wait_ms=20_000)
    assert [(one["kind"], one["status"], one["value"]) for one in attempt["resumes"]] == [("time", "resumed", None)]


def test_bad_waits_are_refused_by_the_field_at_fault(caller: Caller) -> None:
    caller.submit()
    named = lease_of(caller.take())
    for waits, field in (
        ([{"kind": "time", "key": "t"}], "waits[0].at"),
        ([{"kind": "time", "key": "t", "at": "2030-01-01T00:00:00Z", "after_ms": 1}], "waits[0].at"),
        ([{"kind": "signal", "key": "t"}], "waits[0].kind"),
        ([{"kind": "job", "key": "t"}], "waits[0].kind"),
        ([{"kind": "interrupt", "key": "t"}], "waits[0].value"),
        ([{"kind": "interrupt", "key": "t", "value": 1, "expire_value": 2}], "waits[0].expire_value"),
        ([{"kind": "time", "key": "t", "after_ms": 1}, {"kind": "time", "key": "t", "after_ms": 1}], "waits"),
        ([], "waits"),
    ):
        status, code, details = error_of(caller.of_worker("suspend", **named, waits=waits))
        assert (status, code, details["field"]) == (400, "invalid_argument", field)
    big = "x" * (1024 * 1024 + 1)
    assert caller.of_worker("interrupt", **named, interrupts=[{"key": "k", "value": big}]).status_code == 413
    ask_id = data_of(caller.of_worker("interrupt", **named, interrupts=[question()]))["interrupts"][0]["interrupt_id"]
    assert caller.post(f"/v1/interrupts/{ask_id}/resume", value=1, more=2).status_code == 400
    assert caller.post(f"/v1/interrupts/{ask_id}/resume", value=big).status_code == 413
    assert caller.post(f"/v1/interrupts/{ask_id}/resume").status_code == 400


def test_settling_is_audited_with_who_and_what(caller: Caller) -> None:
    caller.submit()
    asked = ask(caller, caller.take(), question("a"), question("b"))
    first, second = (one["interrupt_id"] for one in asked["interrupts"])
    data_of(caller.post(f"/v1/interrupts/{first}/resume", value="secret-answer"))
    caller.post(f"/v1/interrupts/{first}/resume", value="another")
    data_of(caller.post(f"/v1/interrupts/{second}/reject"))
    caller.post("/v1/interrupts/int_nobody/resume", value=1)
    caller.post(f"/v1/jobs/{caller.thread}/resume", value=1)
    logs = data_of(caller.get("/v1/audit/logs", limit=5))["logs"]
    assert [(line["action"], line["resource_id"], line["result"]) for line in logs] == [
        ("job.resume", caller.thread, "interrupt_settled"),
        ("interrupt.resume", "int_nobody", "not_found"),
        ("interrupt.reject", second, "ok"),
        ("interrupt.resume", first, "resume_mismatch"),
        ("interrupt.resume", first, "ok"),
    ]
    assert "secret-answer" not in json.dumps(logs)


def test_a_graceful_cancel_reaches_the_worker_and_keeps_its_result(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    told = data_of(caller.post(f"/v1/jobs/{caller.thread}/cancel", mode="graceful", reason="enough"))
    assert told["status"] == "cancelling"
    (message,) = caller.poll(limit=0, wait_ms=20_000)["control"]
    assert (message["type"], message["lease_id"], message["reason"]) == (
        "graceful_cancel",
        attempt["lease_id"],
        "enough",
    )
    beat = data_of(caller.of_worker("heartbeat", lease_id=attempt["lease_id"]))
    assert beat["leases"][0]["state"] == "cancelling"
    data_of(caller.report(attempt, "cleanup"))
    assert data_of(caller.ack(attempt, result="partly"))["status"] == "cancelled"
    assert (caller.of_thread()["status"], caller.of_thread()["result"]) == ("cancelled", "partly")


def interrupted(caller: Caller) -> tuple[str, str]:
    """A run that asks one question: where it is answered."""
    caller.submit()
    asked = ask(caller, caller.take(), question())
    interrupt_id = asked["interrupts"][0]["interrupt_id"]
    return f"/v1/interrupts/{interrupt_id}/resume", interrupt_id


def test_an_acknowledged_answer_survives_a_kill(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    try:
        server.wait_ready()
        with server.client() as http:
            path, interrupt_id = interrupted(Caller(http, "kill"))
            first = data_of(http.post(path, json={"value": 1}))
            server.signal(signal.SIGKILL)
        server.wait_end()
        server.check_rows()
    finally:
        server.kill()
    with serving(tmp_path) as again, again.client() as http:
        assert data_of(http.post(path, json={"value": 1})) == first
        caller = Caller(http, "kill")
        (resume,) = caller.take()["resumes"]
        assert (resume["wait_id"], resume["value"]) == (interrupt_id, 1)


def test_a_page_of_questions_stops_at_4_mib_and_the_next_goes_on_behind_it(caller: Caller) -> None:
    big = "x" * 1_000_000
    for number in range(2):
        caller.submit(thread_id=f"{caller.thread}-{number}")
        ask(caller, caller.take(), *(question(f"{number}{each}") | {"value": big} for each in range(3)))
    first = data_of(caller.get("/v1/interrupts", workflow=caller.name, limit=200))
    assert [one["key"] for one in first["interrupts"]] == ["12", "11", "10", "02"]
    assert all(one["value"] == big for one in first["interrupts"])
    cursor = first["next_cursor"]
    second = data_of(caller.get("/v1/interrupts", workflow=caller.name, limit=200, cursor=cursor))
    assert ([one["key"] for one in second["interrupts"]], second["next_cursor"]) == (["01", "00"], None)


def test_questions_past_4_mib_are_shown_with_their_run_without_what_they_say(tmp_path: Path) -> None:
    big = "x" * 1_000_000
    with serving(tmp_path, ORIS_BODY_MAX_BYTES=str(8 * 1024 * 1024)) as server, server.client() as http:
        caller = Caller(http, "many")
        caller.submit(idempotency_key="k")
        asked = ask(caller, caller.take(), *(question(f"q{n}") | {"value": big} for n in range(6)))
        told = data_of(caller.post("/v1/jobs/run", **caller.job(idempotency_key="k")))
        shown = caller.of_thread("/detail")["pending_interrupts"]
        assert told["interrupts"] == shown
        assert [one["interrupt_id"] for one in shown] == [one["interrupt_id"] for one in asked["interrupts"]]
        assert [one.get("value") for one in shown] == [big] * 4 + [None] * 2
        assert "value" not in shown[4]
        assert data_of(caller.get(f"/v1/interrupts/{shown[4]['interrupt_id']}"))["value"] == big


def test_answers_past_4_mib_are_left_out_where_their_keys_are_raised_again(caller: Caller) -> None:
    caller.submit()
    questions = [question(f"q{number}") for number in range(5)]
    for asked in ask(caller, caller.take(), *questions)["interrupts"]:
        data_of(caller.post(f"/v1/interrupts/{asked['interrupt_id']}/resume", value="x" * 1_000_000))
    attempt = caller.take()
    assert ([one["key"] for one in attempt["resumes"]], attempt["resumes_truncated"]) == (
        ["q1", "q2", "q3", "q4"],
        True,
    )
    again = ask(caller, attempt, *questions)
    assert (again["status"], [one["status"] for one in again["interrupts"]]) == ("queued", ["resumed"] * 5)
    assert ["value" in one for one in again["interrupts"]] == [True] * 4 + [False]
    (alone,) = ask(caller, caller.take(), questions[4])["interrupts"]
    assert alone["value"] == "x" * 1_000_000
