"""API keys in a real server: made, used, changed for others, revoked; and their secrets, which are nowhere."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from .raw_http import Cut
from .server_process import PATIENCE_S, ServerProcess, clean_environment, data_of, error_of, serving, until
from .streams import Streamed, streaming
from .test_starts import refused

Key = dict[str, Any]
ADMIN = {"authorization": "Bearer static-of-admin"}
STATIC = {"ORIS_API_AUTH_BEARER_TOKEN": "static-of-admin"}
KEY_FIELDS = {"key_id", "role", "tenant_id", "created_at", "expires_at", "last_used_at", "revoked_at"}


def create(http: httpx.Client, **body: Any) -> Key:
    """A new key."""
    response = http.post("/v1/api-keys", json=body)
    assert response.headers["cache-control"] == "no-store"
    made: Key = data_of(response)
    assert made.keys() == {"key_id", "secret", "role", "tenant_id", "expires_at"}
    return made


def revoke(http: httpx.Client, key: Key) -> Key:
    """The key as it is then."""
    revoked: Key = data_of(http.post(f"/v1/api-keys/{key['key_id']}/revoke"))
    assert revoked.keys() == KEY_FIELDS
    return revoked


def sent(key: Key) -> dict[str, str]:
    """The headers of its holder."""
    return {"x-api-key-id": key["key_id"], "x-api-key": key["secret"]}


def status_of(server: ServerProcess, headers: dict[str, str]) -> int:
    """How a read is answered, on a connection of its own."""
    with server.client(headers=headers) as http:
        return http.get("/v1/jobs").status_code


@contextmanager
def administered(folder: Path, **settings: str) -> Iterator[tuple[ServerProcess, httpx.Client]]:
    """A server with a static admin, and him."""
    with serving(folder, **STATIC, **settings) as server, server.client(headers=ADMIN) as http:
        yield server, http


def test_the_first_key_closes_an_open_server_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as anybody:
        assert server.lines("server_ready")[0]["auth"] == "off"
        key = create(anybody, role="admin")
        assert error_of(anybody.get("/v1/jobs"))[:2] == (401, "unauthorized")
        with server.client(headers=sent(key)) as admin:
            (listed,) = data_of(admin.get("/v1/api-keys"))["keys"]
            assert listed.keys() == KEY_FIELDS
            assert (listed["key_id"], listed["role"], listed["revoked_at"]) == (key["key_id"], "admin", None)
            # Shutting oneself out is allowed, and answered.
            assert revoke(admin, key)["revoked_at"] is not None
            assert error_of(admin.get("/v1/jobs"))[:2] == (401, "unauthorized")
        assert error_of(anybody.get("/v1/jobs"))[:2] == (401, "unauthorized")
        assert server.stop() == 0
    with serving(tmp_path) as again:
        assert again.lines("server_ready")[0]["auth"] == "on"
        assert status_of(again, {}) == status_of(again, sent(key)) == 401


def test_who_was_at_work_before_the_first_key_is_sent_away_by_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as anybody:
        data_of(anybody.post("/v1/jobs", json={"thread_id": "t"}))
        parked: list[httpx.Response] = []

        def poll() -> None:
            with server.client() as worker:
                body = {"worker_id": "w", "wait_ms": 50_000, "workflows": ["late"]}
                parked.append(worker.post("/v1/workers/poll", json=body))

        async def follow() -> None:
            async with streaming(server.address, "/v1/jobs/t/events") as stream:
                told = [await stream.event(), await stream.event()]
                assert [event and event.kind for event in told] == ["run_created", "attempt_queued"]
                key = await trio.to_thread.run_sync(lambda: create(anybody, role="admin"))
                with trio.fail_after(PATIENCE_S), pytest.raises(Cut):
                    await stream.event()
            with server.client(headers=sent(key)) as admin:
                late = {"thread_id": "late", "workflow": "late", "input": "a secret"}
                data_of(await trio.to_thread.run_sync(lambda: admin.post("/v1/jobs", json=late)))

        thread = threading.Thread(target=poll)
        thread.start()
        until(lambda: data_of(anybody.get("/v1/admin/status"))["parked_polls"] == 1, "the poll is parked")
        trio.run(follow)
        thread.join(PATIENCE_S)
        assert error_of(parked[0]) == (401, "unauthorized", {"supported_auth": ["api_key", "bearer"]})
        assert server.lines("request_failed") == []
        server.check_rows()


def test_a_key_is_replaced_without_a_gap_and_the_old_one_is_shut_out_before_the_answer(tmp_path: Path) -> None:
    with administered(tmp_path) as (server, http):
        old, new = create(http, role="client"), create(http, role="client")
        for _ in range(20):
            assert [status_of(server, sent(key)) for key in (old, new)] == [200, 200]
            revoke(http, old)
            assert [status_of(server, sent(key)) for key in (old, new)] == [401, 200]
            old, new = new, create(http, role="client")
        first = revoke(http, old)
        assert revoke(http, old) == first
        server.kill()
    with administered(tmp_path) as (again, _):
        assert [status_of(again, sent(key)) for key in (old, new)] == [401, 200]


def test_a_parked_poll_ends_with_its_key_and_takes_nothing(tmp_path: Path) -> None:
    with administered(tmp_path) as (server, http):
        old, new = create(http, role="worker", tenant_id="acme"), create(http, role="worker", tenant_id="acme")
        answers: list[httpx.Response] = []

        def poll(key: Key) -> None:
            with server.client(headers=sent(key)) as worker:
                answers.append(worker.post("/v1/workers/poll", json={"worker_id": "w", "wait_ms": 50_000}))

        def parked() -> int:
            return int(data_of(http.get("/v1/admin/status"))["parked_polls"])

        threads = [threading.Thread(target=poll, args=(key,)) for key in (old, new)]
        for thread in threads:
            thread.start()
        until(lambda: parked() == 2, "both polls are parked")
        revoke(http, old)
        threads[0].join(PATIENCE_S)
        assert error_of(answers[0])[:2] == (401, "unauthorized")
        assert parked() == 1
        data_of(http.post("/v1/jobs", json={"thread_id": "t", "tenant_id": "acme"}))
        threads[1].join(PATIENCE_S)
        (attempt,) = data_of(answers[1])["attempts"]
        assert (attempt["thread_id"], attempt["attempt_no"]) == ("t", 1)
        server.check_rows()


def test_a_stream_of_events_is_cut_off_when_its_key_ends_and_others_go_on(tmp_path: Path) -> None:
    with administered(tmp_path) as (server, http):
        old, new = create(http, role="client"), create(http, role="client")
        data_of(http.post("/v1/jobs", json={"thread_id": "t"}))

        def follow(key: Key) -> AbstractAsyncContextManager[Streamed]:
            fields = [f"{name}: {value}" for name, value in sent(key).items()]
            return streaming(server.address, "/v1/jobs/t/events", *fields)

        async def both() -> None:
            async with follow(old) as cut, follow(new) as whole:
                for stream in (cut, whole):
                    told = [await stream.event(), await stream.event()]
                    assert [event and event.kind for event in told] == ["run_created", "attempt_queued"]
                await trio.to_thread.run_sync(revoke, http, old)
                with trio.fail_after(PATIENCE_S), pytest.raises(Cut):
                    await cut.event()
                await trio.to_thread.run_sync(lambda: data_of(http.post("/v1/jobs/t/cancel", json={})))
                with trio.fail_after(PATIENCE_S):
                    assert [event.kind for event in await whole.events(2)] == ["cancel_requested", "cancelled"]

        trio.run(both)
        assert server.lines("request_failed") == []


def test_an_expired_key_is_as_an_unknown_one(tmp_path: Path) -> None:
    with administered(tmp_path) as (server, http):
        at = datetime.now(UTC) + timedelta(seconds=3)
        key = create(http, role="client", expires_at=at.isoformat())
        assert key["expires_at"] == at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
        until(lambda: status_of(server, sent(key)) == 401, "it has expired")
        answers = []
        for key_id, secret in ((key["key_id"], key["secret"]), ("key_" + "0" * 32, key["secret"])):
            with server.client(headers={"x-api-key-id": key_id, "x-api-key": secret}) as stranger:
                answers.append(error_of(stranger.get("/v1/jobs")))
        assert answers == [(401, "unauthorized", {"supported_auth": ["api_key", "bearer"]})] * 2
        past = http.post("/v1/api-keys", json={"role": "client", "expires_at": "2001-01-01T00:00:00Z"})
        assert error_of(past) == (400, "invalid_argument", {"field": "expires_at"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "role"),
        ({"role": "root"}, "role"),
        ({"role": "admin", "tenant_id": ""}, "tenant_id"),
        ({"role": "admin", "tenant_id": "a/b"}, "tenant_id"),
        ({"role": "admin", "expires_at": "tomorrow"}, "expires_at"),
        ({"role": "admin", "expires_at": "2031-01-01T00:00:00"}, "expires_at"),
        ({"role": "admin", "secret": "mine"}, "secret"),
    ],
)
def test_a_key_that_cannot_be_is_refused(open_server: ServerProcess, body: Key, field: str) -> None:
    with open_server.client() as http:
        status, code, details = error_of(http.post("/v1/api-keys", json=body))
        assert (status, code, details["field"]) == (400, "invalid_argument", field)
        assert data_of(http.get("/v1/api-keys"))["keys"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "worker"}, "role"),
        ({"role": "operator", "tenant_id": "acme"}, "role"),
        ({"role": "admin", "tenant_id": "acme"}, "tenant_id"),
    ],
)
def test_a_first_key_that_would_lock_everybody_out_is_refused(
    open_server: ServerProcess, body: Key, field: str
) -> None:
    with open_server.client() as http:
        refused = http.post("/v1/api-keys", json=body)
        assert error_of(refused) == (400, "invalid_argument", {"field": field})
        assert "the first key must have the role admin" in refused.json()["error"]["message"]
        # It is open still.
        assert data_of(http.get("/v1/api-keys"))["keys"] == []


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("open")) as server:
        yield server


def test_keys_are_listed_page_by_page_and_the_last_use_is_told(tmp_path: Path) -> None:
    with administered(tmp_path) as (server, http):
        made = [create(http, role="client", tenant_id="acme" if n % 2 else None) for n in range(5)]
        seen, cursor = [], None
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = data_of(http.get("/v1/api-keys", params=query))
            seen += [key["key_id"] for key in page["keys"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == [key["key_id"] for key in reversed(made)]
        of_acme = data_of(http.get("/v1/api-keys", params={"tenant_id": "acme"}))["keys"]
        assert [key["key_id"] for key in of_acme] == [made[3]["key_id"], made[1]["key_id"]]
        assert status_of(server, sent(made[0])) == 200

        def last_used() -> dict[str, str | None]:
            return {key["key_id"]: key["last_used_at"] for key in data_of(http.get("/v1/api-keys"))["keys"]}

        until(lambda: last_used()[made[0]["key_id"]], "its use is told")
        assert last_used()[made[1]["key_id"]] is None


def test_what_is_done_to_keys_is_audited_and_what_is_tried_too(tmp_path: Path) -> None:
    with administered(tmp_path) as (server, http):
        key, operator = create(http, role="client", tenant_id="acme"), create(http, role="operator")
        revoke(http, key)
        unknown = "key_" + "0" * 32
        assert http.post(f"/v1/api-keys/{unknown}/revoke").status_code == 404
        assert http.post("/v1/api-keys/oris_a-secret-by-mistake/revoke").status_code == 404
        with server.client(headers=sent(operator)) as other:
            assert error_of(other.post("/v1/api-keys", json={"role": "admin"}))[0] == 403
            assert error_of(other.get("/v1/api-keys"))[0] == 403

        def records() -> list[tuple[str, ...]]:
            logs = data_of(http.get("/v1/audit/logs"))["logs"]
            return [(r["action"], r["actor_id"], r["resource_id"], r["tenant_id"], r["result"]) for r in logs]

        until(lambda: len(records()) == 6, "all of it is audited")
        assert records()[::-1] == [
            ("apikey.create", "static", key["key_id"], "acme", "ok"),
            ("apikey.create", "static", operator["key_id"], "", "ok"),
            ("apikey.revoke", "static", key["key_id"], "", "ok"),
            ("apikey.revoke", "static", unknown, "", "not_found"),
            ("apikey.revoke", "static", "", "", "not_found"),
            ("apikey.create", operator["key_id"], "", "", "forbidden"),
        ]
        assert server.stop() == 0
        server.check_rows()


def test_an_admin_of_a_tenant_makes_keys_of_it_alone(tmp_path: Path) -> None:
    with administered(tmp_path) as (server, http):
        whole, foreign = create(http, role="worker"), create(http, role="worker", tenant_id="globex")
        admin = create(http, role="admin", tenant_id="acme")
        with server.client(headers=sent(admin)) as bound:
            own = create(bound, role="client")
            assert own["tenant_id"] == create(bound, role="client", tenant_id="acme")["tenant_id"] == "acme"
            assert error_of(bound.post("/v1/api-keys", json={"role": "client", "tenant_id": "globex"}))[0] == 404
            listed = data_of(bound.get("/v1/api-keys"))["keys"]
            assert {key["tenant_id"] for key in listed} == {"acme"}
            assert len(listed) == 3
            for key in (whole, foreign):
                assert error_of(bound.post(f"/v1/api-keys/{key['key_id']}/revoke"))[:2] == (404, "not_found")
            assert revoke(bound, own)["tenant_id"] == "acme"
            # What concerns all tenants is not for the admin of one.
            assert error_of(bound.get("/v1/admin/status"))[:2] == (403, "forbidden")
        assert [status_of(server, sent(key)) for key in (whole, foreign, own)] == [403, 403, 401]


def run_oris(folder: Path, *arguments: str) -> str:
    """What `oris` prints, run on the database of that folder."""
    environment = clean_environment(ORIS_SQLITE_DB=str(folder / "oris.db"))
    command = [sys.executable, "-m", "oris", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_a_server_that_others_can_reach_starts_with_a_key_made_offline_and_not_without(tmp_path: Path) -> None:
    exposed = {"ORIS_SERVER_ADDR": "0.0.0.0:0", "ORIS_SQLITE_DB": str(tmp_path / "oris.db")}
    run_oris(tmp_path, "migrate")
    assert "0.0.0.0:0 can be reached from other machines" in refused(tmp_path / "refused", **exposed)
    shown = run_oris(tmp_path, "keys", "create", "--role", "operator")
    key = dict(line.split(maxsplit=1) for line in shown.splitlines())
    with serving(tmp_path, **exposed) as server:
        assert [status_of(server, headers) for headers in ({}, sent(key))] == [401, 200]
        assert server.stop() == 0
    run_oris(tmp_path, "keys", "revoke", key["key_id"])
    # No key is left; it is closed, not open.
    with serving(tmp_path, **exposed) as server:
        assert [status_of(server, headers) for headers in ({}, sent(key))] == [401, 401]


def test_commands_without_a_server_are_no_node_of_the_cluster(tmp_path: Path) -> None:
    shown = run_oris(tmp_path, "keys", "create", "--create", "--role", "admin")
    key = dict(line.split(maxsplit=1) for line in shown.splitlines())
    database = str(tmp_path / "oris.db")
    with serving(tmp_path, ORIS_SQLITE_DB=database) as server, server.client(headers=sent(key)) as admin:
        data_of(admin.post("/v1/jobs", json={"thread_id": "t"}))
        status = data_of(admin.get("/v1/admin/status"))
        assert [node["node"] for node in status["nodes"]] == [status["node_id"]]
        mode = {"submit": True, "dispatch": True}
        assert error_of(admin.post("/v1/admin/mode", json=mode | {"node": "offline"}))[:2] == (404, "not_found")
        data_of(admin.post("/v1/admin/mode", json=mode | {"node": status["node_id"]}))


def test_two_static_tokens_open_at_a_time_and_the_trail_tells_which(tmp_path: Path) -> None:
    settings = {"ORIS_API_AUTH_BEARER_TOKEN_NEXT": "static-to-come"}
    with administered(tmp_path, **settings) as (_, http):
        for place, token in enumerate(("static-of-admin", "static-to-come")):
            by = {"authorization": f"Bearer {token}"}
            data_of(http.post("/v1/jobs", json={"thread_id": f"t{place}"}, headers=by))
        logs = data_of(http.get("/v1/audit/logs"))["logs"]
        assert [record["actor_id"] for record in reversed(logs)] == ["static", "static-next"]
        assert http.get("/v1/jobs", headers={"authorization": "Bearer other"}).status_code == 401
