"""The secrets of keys and tokens are in no log, trace, audit record, timeline, page, print or dump."""

from __future__ import annotations

import base64
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from .collector import Collector
from .server_process import ServerProcess, clean_environment, data_of, serving
from .test_keys import ADMIN, STATIC, create, revoke, sent

TOKENS = {
    **STATIC,
    "ORIS_API_AUTH_BEARER_TOKEN_NEXT": "static-to-come",
    "ORIS_API_AUTH_API_KEY": "static-of-operator",
    "ORIS_API_AUTH_API_KEY_NEXT": "static-of-operator-to-come",
}
PAGES = (
    "/v1/api-keys",
    "/v1/audit/logs?category=all&limit=200",
    *("/v1/jobs", "/v1/jobs/t", "/v1/jobs/t/runs", "/v1/jobs/t/detail", "/v1/jobs/t/timeline?payloads=true"),
    *("/v1/jobs/t/timeline/export?payloads=true", "/v1/jobs/t/verify", "/v1/jobs/t/explain"),
    *("/v1/interrupts", "/v1/workers", "/v1/dlq", "/v1/admin/status", "/v1/capabilities", "/metrics", "/readyz"),
)
COMMANDS = (
    ("config",),
    ("config", "--json"),
    ("config", "--markdown"),
    ("keys", "list"),
    ("audit", "verify"),
    ("audit", "heads"),
    ("migrate", "--plan"),
)
BUG = """
import sys
from oris.api.handlers import explain
from oris.cli import main

async def show(call, _):
    raise KeyError(f"planted: {dict(call.path_params)}")

explain.show = show
sys.exit(main())
"""


def presentations(key: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Every way a holder may send a secret, rightly and by mistake."""
    yield sent(key)
    yield sent(key) | {"x-api-key": key["secret"] + "x"}
    yield {"authorization": f"Bearer {key['secret']}"}
    yield {"authorization": f"Bearer {key['key_id']}.{key['secret']}"}
    yield {"authorization": f"Bearer {key['secret']}.{key['key_id']}"}
    yield {"authorization": key["secret"]}
    yield {"x-api-key-id": key["secret"], "x-api-key": key["key_id"]}
    yield sent(key) | {"authorization": f"Basic {key['secret']}", "traceparent": "00-nonsense"}
    yield sent(key) | {"cookie": f"key={key['secret']}", "user-agent": key["secret"]}


def at_work(server: ServerProcess, http: httpx.Client, key: dict[str, Any]) -> None:
    """A holder submits, is refused, takes work and asks; somebody answers him."""
    for headers in presentations(key):
        with server.client(headers=headers) as holder:
            holder.post("/v1/jobs", json={"thread_id": "t", "input": {"n": 1}})
            holder.post("/v1/jobs", content=b"{", headers={"content-type": "application/json"})
            holder.post("/v1/admin/mode", json={"submit": True, "dispatch": True})
            holder.post("/v1/workers/poll", json={"worker_id": "w", "limit": 0})
            holder.get(f"/v1/jobs?api_key={key['secret']}")
            holder.get(f"/v1/{key['secret']}")
    http.post(f"/v1/api-keys/{key['secret']}/revoke")


def interrupted(http: httpx.Client, client: httpx.Client, worker: httpx.Client) -> None:
    """A run that both keys had their hands in."""
    data_of(client.post("/v1/jobs", json={"thread_id": "asks", "workflow": "asks"}))
    (attempt,) = data_of(worker.post("/v1/workers/poll", json={"worker_id": "w", "workflows": ["asks"]}))["attempts"]
    lease = {name: attempt[name] for name in ("attempt_id", "lease_id")}
    asked = lease | {"interrupts": [{"key": "q", "value": 1}]}
    (interrupt,) = data_of(worker.post("/v1/workers/w/interrupt", json=asked))["interrupts"]
    data_of(client.post(f"/v1/interrupts/{interrupt['interrupt_id']}/resume", json={"value": 1}))
    assert data_of(http.get(f"/v1/interrupts/{interrupt['interrupt_id']}"))["settled_by"]


def printed(folder: Path) -> bytes:
    """All that the commands say, with the tokens among their settings."""
    environment = clean_environment(ORIS_SQLITE_DB=str(folder / "oris.db"), **TOKENS)
    said = b""
    for command in COMMANDS:
        arguments = [sys.executable, "-m", "oris", *command]
        done = subprocess.run(arguments, env=environment, capture_output=True, timeout=60, check=True)
        said += done.stdout + done.stderr
    return said


def files_of(folder: Path) -> bytes:
    """The bytes of every file there is."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"oris.db", "stderr.log"} <= {path.name for path in files}
    return b"".join(path.read_bytes() for path in files)


def dump_of(folder: Path) -> bytes:
    """The database as SQL, which writes bytes in hex."""
    with closing(sqlite3.connect(folder / "oris.db")) as connection:
        return "\n".join(connection.iterdump()).encode()


def traces_of(secret: str) -> list[bytes]:
    """A secret as it could be written somewhere, and its halves, which would be as bad."""
    raw = secret.encode()
    forms = [raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)]
    if secret.startswith("oris_"):
        random = secret.removeprefix("oris_")
        forms += [half.encode() for half in re.findall(".{20}", random)]
        forms += [base64.urlsafe_b64decode(random + "=").hex().encode()]
    return forms


def found(secrets: list[str], text: bytes) -> list[bytes]:
    """What of them is there."""
    return [form for secret in secrets for form in traces_of(secret) if form in text]


def test_the_secrets_of_keys_that_were_used_are_nowhere(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_LOG="debug", **TOKENS) as server, server.client(headers=ADMIN) as http:
        client, worker, gone = (create(http, role=role) for role in ("client", "worker", "worker"))
        revoke(http, gone)
        secrets = [client["secret"], worker["secret"], gone["secret"], *TOKENS.values()]
        for key in (client, worker, gone):
            at_work(server, http, key)
        with server.client(headers=sent(client)) as of_client, server.client(headers=sent(worker)) as of_worker:
            interrupted(http, of_client, of_worker)
        seen = {page: http.get(page).text for page in PAGES}
        assert client["key_id"] in seen["/v1/api-keys"]
        assert client["key_id"] in seen["/v1/audit/logs?category=all&limit=200"]
        assert found(secrets, "".join(seen.values()).encode()) == []
        # While it runs and after a kill: the write-ahead log too.
        assert found(secrets, files_of(tmp_path)) == []
        server.kill()
        assert found(secrets, files_of(tmp_path)) == []
    assert client["key_id"].encode() in dump_of(tmp_path)
    assert found(secrets, dump_of(tmp_path)) == []
    said = printed(tmp_path)
    assert b"(hidden)" in said
    assert client["key_id"].encode() in said
    assert found(secrets, said) == []


def test_a_secret_that_a_bug_comes_upon_is_not_in_the_log_of_it(tmp_path: Path) -> None:
    """A key where a thread's name belongs, and a handler that fails with what it was given."""
    with serving(tmp_path, program=("-c", BUG), ORIS_LOG="debug", **TOKENS) as server:
        with server.client(headers=ADMIN) as http:
            secret = create(http, role="client")["secret"]
            assert http.get(f"/v1/jobs/{secret}/explain").status_code == 500
        assert server.stop() == 0
        (told,) = server.lines("request_failed")
        assert "planted" in told["exception"]
        assert found([secret], files_of(tmp_path)) == []


def test_the_secrets_are_in_no_span(tmp_path: Path) -> None:
    with Collector().collecting() as collector:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **TOKENS}
        with serving(tmp_path, program=("-c", BUG), **traced) as server, server.client(headers=ADMIN) as http:
            client = create(http, role="client")
            at_work(server, http, client)
            assert http.get(f"/v1/jobs/{client['secret']}/explain").status_code == 500
            assert server.stop() == 0
        spans = collector.spans()
        assert {"POST /v1/jobs", "GET /v1/jobs/{thread_id}/explain", "commit"} <= {span.name for _, span in spans}
        assert found([client["secret"], *TOKENS.values()], b"".join(collector.raw)) == []


def test_a_secret_that_is_there_is_found() -> None:
    secret = "oris_" + base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
    for form in traces_of(secret):
        assert found([secret], b"before " + form + b" after")
    assert found([secret], b"oris_ and nothing else") == []
