"""Workers that die, share a name, or sit behind a proxy: sessions, watched polls, incidents, over real connections."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trio

from .calls import Caller, Data, lease_of
from .raw_http import Connection, connect
from .server_process import ServerProcess, data_of, error_of, serving, until

WORKER = Path(__file__).with_name("watched_worker.py")
GRACE_MS = 200
FLEET = 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that is quick to miss a worker, and no fresh one any more."""
    with serving(tmp_path_factory.mktemp("server"), ORIS_DISCONNECT_GRACE_MS=str(GRACE_MS)) as running:
        with running.client() as http:
            lived_ms(http, 6 * GRACE_MS, "fresh")
        yield running
        assert running.stop() == 0
        running.check_rows()


def lived_ms(http: httpx.Client, least_ms: int, name: str) -> None:
    """Returns when the server's clock says that so much time has passed: a job with that delay is given out."""
    job = {"thread_id": f"clock-{name}", "workflow": "clock", "delay_ms": least_ms}
    data_of(http.post("/v1/jobs", json=job))
    poll = {"worker_id": "clock", "workflows": ["clock"], "wait_ms": 20_000}
    (attempt,) = data_of(http.post("/v1/workers/poll", json=poll))["attempts"]
    data_of(http.post("/v1/workers/clock/ack", json={**lease_of(attempt), "terminal_status": "completed"}))


@contextmanager
def worker_process(server: ServerProcess, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A worker's process that holds what it asked for."""
    command = [sys.executable, str(WORKER), server.url, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            yield process
        finally:
            process.kill()


def worker(http: httpx.Client, name: str) -> Data:
    """A worker as operators see it."""
    data: Data = data_of(http.get(f"/v1/workers/{name}"))
    return data


def watched(http: httpx.Client) -> int:
    """How many sessions the server watches."""
    return int(data_of(http.get("/v1/admin/status"))["watched_sessions"])


def test_a_watched_worker_killed_loses_its_jobs_to_another_whatever_their_ttl(
    server: ServerProcess, caller: Caller
) -> None:
    names = [f"{caller.thread}-{number}" for number in range(16)]
    with worker_process(server, "bystander", "b1", "0", "3600"):
        data_of(caller.post("/v1/jobs/batch", jobs=[{"thread_id": name} for name in names]))
        with worker_process(server, caller.worker, "s1", "16", "3600") as process:
            until(lambda: watched(caller.http) == 2, "two sessions are watched")
            process.kill()
            process.wait()
            taken: list[Data] = []
            while len(taken) < len(names):
                polled = data_of(caller.post("/v1/workers/poll", worker_id="heir", limit=16, wait_ms=20_000))
                assert polled["decision"] == "dispatched", "long before the hour is over"
                taken += polled["attempts"]
    assert {(attempt["thread_id"], attempt["attempt_no"]) for attempt in taken} == {(name, 2) for name in names}
    dead = worker(caller.http, caller.worker)
    assert (dead["incidents"], dead["active_leases"], dead["quarantined"]) == (1, 0, False), "one, not sixteen"
    events = data_of(caller.get(f"/v1/jobs/{names[0]}/timeline"))["timeline"]
    assert [e["data"]["cause"] for e in events if e["event_type"] == "lease_expired"] == ["disconnected"]


async def hold(connection: Connection, number: int) -> Data:
    """One worker of the fleet takes its job and waits for control messages."""
    named = {"worker_id": f"fleet-{number}", "session": "s", "watch": True}
    asked = {**named, "workflows": ["fleet"], "wait_ms": 20_000, "lease_ttl_seconds": 60}
    reply = await connection.post("/v1/workers/poll", asked)
    (attempt,) = reply.data["attempts"]
    return {**named, **lease_of(attempt)}


async def test_a_proxy_that_cuts_all_connections_at_once_costs_no_lease(server: ServerProcess) -> None:
    jobs = [{"thread_id": f"fleet-{number}", "workflow": "fleet"} for number in range(FLEET)]
    with server.client() as http:
        data_of(http.post("/v1/jobs/batch", json={"jobs": jobs}))
        held: list[Data] = []
        async with trio.open_nursery() as nursery:
            connections = [await connect(server.address) for _ in range(FLEET)]

            async def take_and_park(connection: Connection, number: int) -> None:
                named = await hold(connection, number)
                held.append(named)
                parked = {key: named[key] for key in ("worker_id", "session", "watch")}
                await connection.send("POST", "/v1/workers/poll", {**parked, "limit": 0, "wait_ms": 50_000})

            for number, connection in enumerate(connections):
                nursery.start_soon(take_and_park, connection, number)
        until(lambda: watched(http) >= FLEET, "the fleet is watched")
        for connection in connections:
            await trio.aclose_forcefully(connection.stream)
        until(lambda: watched(http) == 0, "all connections are gone")
        await trio.to_thread.run_sync(lived_ms, http, 4 * GRACE_MS, "after-the-cut")
        for named in held:
            path = f"/v1/workers/{named['worker_id']}/heartbeat"
            beat = data_of(http.post(path, json={"lease_id": named["lease_id"]}))
            assert [lease["state"] for lease in beat["leases"]] == ["held"]
        for named in held:
            ack = {"attempt_id": named["attempt_id"], "lease_id": named["lease_id"], "terminal_status": "completed"}
            data_of(http.post(f"/v1/workers/{named['worker_id']}/ack", json=ack))


def test_of_two_processes_with_one_name_one_works_and_the_other_is_told(caller: Caller) -> None:
    caller.submit()
    first = caller.take(session="first")
    assert caller.take(session="second", wait_ms=20_000)["attempt_no"] == 2
    for _ in range(3):
        told = error_of(caller.post("/v1/workers/poll", worker_id=caller.worker, session="first"))
        assert told == (409, "conflict", {"reason": "session_superseded"})
    status, _, details = error_of(caller.ack(first))
    assert (status, details) == (409, {"reason": "lease_lost", "state": "superseded"})
    beat = caller.of_worker("heartbeat", lease_ids=[], session="first")
    assert error_of(beat)[2] == {"reason": "session_superseded"}
    assert worker(caller.http, caller.worker)["session"] == "second"


def test_a_session_says_that_it_lives_without_a_lease(caller: Caller) -> None:
    beat = data_of(caller.of_worker("heartbeat", lease_ids=[], session="only"))
    assert beat["leases"] == []
    assert worker(caller.http, caller.worker)["session"] == "only"
    assert error_of(caller.of_worker("heartbeat", lease_ids=[]))[2] == {"field": "lease_ids"}


def test_five_incidents_quarantine_and_an_operator_frees(caller: Caller) -> None:
    threads = [f"{caller.thread}-{number}" for number in range(6)]
    data_of(caller.post("/v1/jobs/batch", jobs=[{"thread_id": t, "workflow": caller.name} for t in threads]))
    for number in range(5):
        caller.take(session=f"s{number}", only_threads=[threads[number]])
    told = caller.poll(session="s5")
    assert (told["decision"], told["reason"], told["attempts"]) == ("backpressure", "quarantined", [])
    shown = worker(caller.http, caller.worker)
    assert (shown["incidents"], shown["quarantined"]) == (5, True)
    assert shown["quarantined_until"] is not None
    cleared = data_of(caller.of_worker("clear-quarantine"))
    assert (cleared["incidents"], cleared["quarantined"], cleared["quarantined_until"]) == (0, False, None)
    assert caller.poll(session="s5")["decision"] == "dispatched"
    logs = data_of(caller.get("/v1/audit/logs", action="worker.clear_quarantine"))["logs"]
    assert (logs[0]["resource_id"], logs[0]["result"]) == (caller.worker, "ok")
    assert caller.post("/v1/workers/nobody/clear-quarantine").status_code == 404


def test_only_threads_takes_what_it_names_out_of_the_queue(caller: Caller) -> None:
    threads = [f"{caller.thread}-{number}" for number in range(3)]
    data_of(caller.post("/v1/jobs/batch", jobs=[{"thread_id": t, "workflow": caller.name} for t in threads]))
    chosen = caller.poll(limit=10, only_threads=[threads[2], "nobody"])
    assert [attempt["thread_id"] for attempt in chosen["attempts"]] == [threads[2]]
    assert [attempt["thread_id"] for attempt in caller.poll(limit=10)["attempts"]] == threads[:2]


def test_a_watch_needs_a_session(caller: Caller) -> None:
    assert error_of(caller.post("/v1/workers/poll", worker_id="w", watch=True))[2] == {"field": "watch"}


def test_a_control_poll_tells_the_workers_leases(caller: Caller) -> None:
    caller.submit()
    caller.take()
    told = caller.poll(limit=0)
    assert (told["decision"], told["worker_active_leases"], told["worker_limit"]) == ("noop", 1, 100)


def test_ack_and_poll_carries_control_messages(caller: Caller) -> None:
    for thread in ("a", "b"):
        data_of(caller.post("/v1/jobs", thread_id=f"{caller.thread}-{thread}", workflow=caller.name))
    first, second = caller.poll(limit=2)["attempts"]
    data_of(caller.post(f"/v1/jobs/{second['thread_id']}/cancel"))
    acked = data_of(caller.ack(first, poll={"workflows": [caller.name]}))
    assert [(told["type"], told["lease_id"]) for told in acked["next"]["control"]] == [("cancel", second["lease_id"])]


def test_an_ack_that_fetches_is_answered_though_its_session_is_over(caller: Caller) -> None:
    """Whatever has happened since; only the fetch is told."""
    caller.submit()
    (attempt,) = caller.poll(session="s1")["attempts"]
    fetch = {"session": "s1", "workflows": [caller.name]}
    first = data_of(caller.ack(attempt, poll=fetch))
    assert "reason" not in first["next"]
    caller.poll(session="s2")
    again = data_of(caller.ack(attempt, poll=fetch))
    assert again["status"] == first["status"] == "completed"
    assert again["next"] == {"decision": "noop", "reason": "session_superseded", "attempts": [], "control": []}


def test_a_workflow_whose_workers_all_die_is_held_told_of_and_cleared(caller: Caller, server: ServerProcess) -> None:
    threads = [f"{caller.thread}-{number}" for number in range(5)]
    data_of(caller.post("/v1/jobs/batch", jobs=[{"thread_id": t, "workflow": caller.name} for t in threads]))

    def reason() -> str:
        return str(data_of(caller.get(f"/v1/jobs/{threads[0]}/explain"))["reason"])

    pods = 0
    while reason() != "workflow_held":
        pods += 1
        poll = {"worker_id": f"{caller.worker}-{pods}", "workflows": [caller.name], "limit": 5, "wait_ms": 6000}
        assert pods < 40
        data_of(caller.post("/v1/workers/poll", **poll, lease_ttl_seconds=1))
    mine = {"workflow": caller.name}.items()
    until(lambda: [line for line in server.lines("workflow_held") if mine <= line.items()], "the log to tell of it")
    for metric in ("oris_runtime_workflow_holds_total 0.0", "oris_runtime_workflows_held 0.0"):
        until(lambda metric=metric: metric not in caller.http.get("/metrics").text, metric)  # type: ignore[misc]
    cleared = data_of(caller.post(f"/v1/workflows/{caller.name}/clear-hold"))
    assert (cleared["was_held"], cleared["held"]) == (True, False)
    assert reason() != "workflow_held"
    logs = data_of(caller.get("/v1/audit/logs", action="workflow.clear_hold"))["logs"]
    assert (logs[0]["resource_id"], logs[0]["result"]) == (caller.name, "ok")
    until(lambda: caller.poll(limit=5)["attempts"], "the jobs to be given out")
