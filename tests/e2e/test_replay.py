"""Replays and dead letters over real HTTP (docs/api.md, "Jobs")."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from .calls import TRACE, Caller, Data, has_fields, lease_of
from .server_process import PATIENCE_S, ServerProcess, data_of, error_of, metric, serving
from .worker_process import working

REPLAYED = {"thread_id", "run_id", "attempt_id", "status", "idempotent_replay", "trace"}
AT_ONCE = 50
BOOM = {"type": "Boom", "message": "no", "retryable": False}


def ended(caller: Caller, status: str = "completed") -> tuple[Data, list[str]]:
    """A run of two steps with a checkpoint each; the attempt and the checkpoints."""
    caller.submit(input={"n": 1}, metadata={"m": "1"}, priority=3)
    attempt = caller.take()
    saved = [
        data_of(caller.report(attempt, action, output=action, checkpoint={"values": {"after": action}}))
        for action in ("one", "two")
    ]
    data_of(caller.ack(attempt, status, **({"error": BOOM} if status == "failed" else {"result": "first"})))
    return attempt, [step["checkpoint_id"] for step in saved]


def replay(caller: Caller, **body: str) -> httpx.Response:
    return caller.post(f"/v1/jobs/{caller.thread}/replay", **body)


def steps_of(attempt: Data) -> list[tuple[str, str, str]]:
    return [(step["action_id"], step["status"], step["output"]) for step in attempt["steps"]]


def dead_letter(caller: Caller, attempt: Data) -> Data:
    letter: Data = data_of(caller.get(f"/v1/dlq/{attempt['attempt_id']}"))
    return letter


def test_a_replay_of_a_checkpoint_goes_on_from_there_with_all_its_source_was_given(caller: Caller) -> None:
    _, (first, _) = ended(caller)
    made = data_of(replay(caller, checkpoint_id=first))
    has_fields(made, REPLAYED, {"checkpoint_id"})
    has_fields(made["trace"], TRACE)
    assert (made["status"], made["idempotent_replay"], made["checkpoint_id"]) == ("queued", False, first)
    attempt = caller.take()
    assert (attempt["run_id"], attempt["attempt_no"]) == (made["run_id"], 1)
    assert (attempt["input"], attempt["metadata"], attempt["priority"]) == ({"n": 1}, {"m": "1"}, 3)
    assert attempt["checkpoint"] == {"checkpoint_id": first, "values": {"after": "one"}}
    assert steps_of(attempt) == [("one", "succeeded", "one")]
    shown = caller.of_thread()
    assert (shown["checkpoint_id"], shown["values"], shown["input"]) == (first, {"after": "one"}, {"n": 1})
    page = data_of(caller.get(f"/v1/attempts/{attempt['attempt_id']}/steps", lease_id=attempt["lease_id"]))
    assert [step["action_id"] for step in page["steps"]] == ["one"]
    data_of(caller.ack(attempt, result={"total": 1}))
    again = data_of(replay(caller, checkpoint_id=first))
    assert (again["run_id"], again["status"], again["idempotent_replay"]) == (made["run_id"], "completed", True)
    assert (again["result"], again["checkpoint_id"]) == ({"total": 1}, first)
    assert again["trace"]["trace_id"] == made["trace"]["trace_id"]


def test_a_replay_of_the_latest_state_is_handed_every_step_also_in_pages(caller: Caller) -> None:
    source, (_, last) = ended(caller)
    made = data_of(replay(caller, run_id=source["run_id"]))
    attempt = caller.take()
    assert [name for name, _, _ in steps_of(attempt)] == ["one", "two"]
    assert attempt["checkpoint"]["checkpoint_id"] == made["checkpoint_id"] == last
    data_of(caller.report(attempt, "three", output=3))
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        page = data_of(caller.get(f"/v1/attempts/{attempt['attempt_id']}/steps", after=after, limit=1))
        seen += [step["action_id"] for step in page["steps"]]
        after = page["next_after"]
    assert seen == ["one", "two", "three"]
    status, _, details = error_of(caller.report(attempt, "one", dedupe_token="2", output="again"))
    assert (status, details["reason"]) == (409, "dedupe_mismatch")


def test_what_cannot_be_replayed_is_refused_with_its_reason(caller: Caller) -> None:
    assert error_of(replay(caller))[:2] == (404, "not_found")
    source, _ = ended(caller)
    elsewhere = Caller(caller.http, f"{caller.name[:100]}-other")
    _, (foreign, _) = ended(elsewhere)
    run_digits, _, seq = foreign.removeprefix("ckp_").partition("_")
    for named in (foreign, "nonsense", f"ckp_{run_digits}_9{seq}", f"ckp_{source['run_id'][4:]}_1"):
        response = replay(caller, checkpoint_id=named)
        assert error_of(response)[:2] == (404, "not_found"), named
    (record,) = data_of(caller.get("/v1/audit/logs", request_id=response.headers["x-request-id"]))["logs"]
    assert (record["action"], record["resource_id"], record["result"]) == ("job.replay", caller.thread, "not_found")
    status, _, details = error_of(replay(caller, run_id="run_of_nobody"))
    assert (status, details) == (409, {"reason": "run_mismatch", "run_id": source["run_id"]})
    active = caller.submit()
    status, _, details = error_of(replay(caller))
    assert (status, details) == (409, {"reason": "run_active", "run_id": active["run_id"]})
    assert error_of(caller.post(f"/v1/jobs/{caller.thread}/replay", checkpoint="x"))[0] == 400
    assert error_of(caller.post("/v1/dlq/att_of_nobody/replay"))[:2] == (404, "not_found")


def test_a_dead_letter_is_replayed_once_and_says_so(caller: Caller) -> None:
    source, _ = ended(caller, "failed")
    path = f"/v1/dlq/{source['attempt_id']}/replay"
    letter = dead_letter(caller, source)
    assert (letter["replay_status"], letter["replay_count"], letter["last_replayed_at"]) == ("pending", 0, None)
    blocking = caller.submit()
    status, _, details = error_of(caller.post(path))
    assert (status, details) == (409, {"reason": "run_active", "run_id": blocking["run_id"]})
    assert dead_letter(caller, source) == letter
    data_of(caller.post(f"/v1/jobs/{caller.thread}/cancel"))
    response = caller.post(path)
    made = data_of(response)
    assert set(made) == {"thread_id", "run_id", "attempt_id", "status", "replay_count"}
    assert (made["status"], made["replay_count"]) == ("queued", 1)
    (record,) = data_of(caller.get("/v1/audit/logs", request_id=response.headers["x-request-id"]))["logs"]
    assert (record["action"], record["resource_id"], record["result"]) == ("dlq.replay", source["attempt_id"], "ok")
    status, _, details = error_of(caller.post(path))
    assert (status, details) == (409, {"reason": "replay_in_progress", "run_id": made["run_id"]})
    attempt = caller.take()
    assert [name for name, _, _ in steps_of(attempt)] == ["one", "two"]
    data_of(caller.ack(attempt))
    status, _, details = error_of(caller.post(path))
    assert (status, details) == (409, {"reason": "already_replayed", "run_id": made["run_id"]})
    letter = dead_letter(caller, source)
    assert (letter["replay_status"], letter["replay_count"], letter["replay_run_id"]) == ("replayed", 1, made["run_id"])
    assert letter["last_replayed_at"]

    def listed(status: str) -> list[str]:
        found = data_of(caller.get("/v1/dlq", status=status, workflow=caller.name))["entries"]
        return [entry["attempt_id"] for entry in found]

    assert (listed("pending"), listed("replayed")) == ([], [source["attempt_id"]])


def test_dead_letters_that_nobody_has_replayed_are_a_gauge(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        caller = Caller(http, "gauge")
        source, _ = ended(caller, "failed")
        data_of(caller.post(f"/v1/dlq/{source['attempt_id']}/replay"))
        assert server.stop() == 0
        assert server.check_rows().dead_letters
    with serving(tmp_path) as server, server.client() as http:
        assert metric(http.get("/metrics").text, "oris_runtime_dead_letters") == 0
        assert server.stop() == 0


async def at_once(server: ServerProcess, path: str, body: Data) -> list[httpx.Response]:
    """The same, sent many times at once."""
    answers: list[httpx.Response] = []
    async with server.async_client() as http, trio.open_nursery() as nursery:

        async def ask() -> None:
            answers.append(await http.post(path, json=body))

        for _ in range(AT_ONCE):
            nursery.start_soon(ask)
    return answers


@pytest.mark.parametrize("target", ["latest", "checkpoint"])
async def test_a_replay_that_is_sent_fifty_times_at_once_executes_once(
    server: ServerProcess, http: httpx.Client, target: str
) -> None:
    caller = Caller(http, f"fifty-{target}")
    _, (first, _) = ended(caller)
    path, body = f"/v1/jobs/{caller.thread}/replay", {"checkpoint_id": first} if target == "checkpoint" else {}
    answers = await at_once(server, path, body)
    (made,) = [data_of(answer) for answer in answers if answer.status_code == 200]
    refused = [error_of(answer) for answer in answers if answer.status_code != 200]
    assert refused == [(409, "conflict", {"reason": "replay_in_progress", "run_id": made["run_id"]})] * (AT_ONCE - 1)
    attempt = caller.take()
    assert caller.poll()["attempts"] == []
    data_of(caller.ack(attempt, result="once"))
    for answer in await at_once(server, path, body):
        again = data_of(answer)
        assert (again["run_id"], again["idempotent_replay"], again["result"]) == (made["run_id"], True, "once")
    assert len(caller.of_thread("/runs")["runs"]) == 2


async def test_fifty_who_ask_for_one_replay_until_they_have_its_result_have_one_and_the_same(
    server: ServerProcess, http: httpx.Client, tmp_path: Path
) -> None:
    """With two workers at work, so that some ask while it runs and some when it is done."""
    caller = Caller(http, "fifty-workers")
    caller.submit()
    data_of(caller.ack(caller.take()))
    refused: list[str] = []
    made: list[Data] = []
    told: list[Data] = []

    async def ask(client: httpx.AsyncClient) -> None:
        while True:
            answer = await client.post(f"/v1/jobs/{caller.thread}/replay", json={})
            if answer.status_code != 200:
                refused.append(error_of(answer)[2]["reason"])
                continue
            data = data_of(answer)
            (told if data["idempotent_replay"] else made).append(data)
            if data["idempotent_replay"]:
                return

    file = tmp_path / "handed.jsonl"
    with working(server, "one", caller.name, file) as one, working(server, "two", caller.name, file) as two:
        with trio.fail_after(PATIENCE_S):
            async with server.async_client() as client, trio.open_nursery() as nursery:
                for _ in range(AT_ONCE):
                    nursery.start_soon(ask, client)
        (executed,) = [*one.handed(), *two.handed()]
    assert [answer["run_id"] for answer in made] == [executed["run_id"]]
    assert [answer["run_id"] for answer in told] == [executed["run_id"]] * AT_ONCE
    assert {str(answer["result"]) for answer in told} == {str(told[0]["result"])}
    assert set(refused) == {"replay_in_progress"}
    assert len(caller.of_thread("/runs")["runs"]) == 2


@pytest.mark.parametrize("dead", [False, True])
def test_kill_9_between_replays_changes_nothing_that_was_acknowledged(tmp_path: Path, dead: bool) -> None:
    with serving(tmp_path) as server, server.client() as http:
        caller = Caller(http, "killed")
        source, _ = ended(caller, "failed" if dead else "completed")
        path = f"/v1/dlq/{source['attempt_id']}/replay" if dead else f"/v1/jobs/{caller.thread}/replay"
        made = data_of(caller.post(path))
        server.kill()
    with serving(tmp_path) as server, server.client() as http:
        caller = Caller(http, "killed")
        status, _, details = error_of(caller.post(path))
        assert (status, details) == (409, {"reason": "replay_in_progress", "run_id": made["run_id"]})
        attempt = caller.take()
        assert (attempt["run_id"], [name for name, _, _ in steps_of(attempt)]) == (made["run_id"], ["one", "two"])
        data_of(caller.ack(attempt, result=1))
        server.kill()
    with serving(tmp_path) as server, server.client() as http:
        caller = Caller(http, "killed")
        response = caller.post(path)
        if dead:
            assert error_of(response)[2] == {"reason": "already_replayed", "run_id": made["run_id"]}
        else:
            assert (data_of(response)["run_id"], data_of(response)["idempotent_replay"]) == (made["run_id"], True)
        assert len(caller.of_thread("/runs")["runs"]) == 2
        assert server.stop() == 0
        server.check_rows()


def test_a_worker_that_died_in_a_replay_hands_all_of_it_on(caller: Caller) -> None:
    ended(caller)
    data_of(replay(caller))
    attempt = caller.take()
    data_of(caller.report(attempt, "three", output="three"))
    data_of(caller.of_worker("release", lease_ids=[lease_of(attempt)["lease_id"]]))
    assert [name for name, _, _ in steps_of(caller.take())] == ["one", "two", "three"]
