"""What lets a server not start: one clear line on stderr, exit 2, and nothing is left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import httpx
import pytest

from oris.config.version import program_version

from .server_process import ServerProcess, data_of, error_of, metric, serving, until


def refused(folder: Path, *arguments: str, **settings: str) -> str:
    """The one line a server that cannot start says."""
    folder.mkdir(exist_ok=True)
    server = ServerProcess(folder, *arguments, unchecked="it wrote none", **settings)
    try:
        assert server.wait_end() == 2
    finally:
        server.kill()
    told = server.stderr.read_text().splitlines()
    # The warning about this machine's SQLite is none of the matter.
    said = [line for line in told if '"store_warning"' not in line]
    assert len(said) == 1, said
    assert said[0].startswith("oris: ")
    assert "Traceback" not in server.stderr.read_text()
    assert server.line("server_ready") is None
    return said[0]


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, ORIS_SERVER_ADDR=f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in said
    assert "in use" in said
    assert not (tmp_path / "oris.db").exists()


def test_a_second_server_on_one_database_says_so_and_the_first_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as first, first.client() as http:
        said = refused(tmp_path / "second", ORIS_SQLITE_DB=str(first.database))
        assert str(first.database) in said
        assert f"in use by another server (pid {first.process.pid})" in said
        assert data_of(http.post("/v1/jobs", json={"thread_id": "t"}))["status"] == "queued"
        assert first.stop() == 0
    with serving(tmp_path) as again, again.client() as http:
        assert data_of(http.get("/v1/jobs/t"))["status"] == "queued"


def test_a_path_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    assert "must exist" in refused(tmp_path / "a", ORIS_SQLITE_DB=str(tmp_path / "nowhere" / "oris.db"))
    assert "not a file" in refused(tmp_path / "b", ORIS_SQLITE_DB=str(tmp_path))
    file = tmp_path / "no.db"
    file.write_bytes(b"this is not a database, but long enough to be one" * 100)
    assert str(file) in refused(tmp_path / "c", ORIS_SQLITE_DB=str(file))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_said(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert "must be writable" in refused(tmp_path / "a", ORIS_SQLITE_DB=str(closed / "oris.db"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ORIS_SERVER_ADDR": "127.0.0.1"}, ["ORIS_SERVER_ADDR"]),
        ({"ORIS_DRAIN_LIMIT_MS": "soon"}, ["ORIS_DRAIN_LIMIT_MS", "soon"]),
        ({"ORIS_MAX_QUEUE_DEPTH": "0"}, ["ORIS_MAX_QUEUE_DEPTH", "0"]),
        ({"ORIS_RUNTIME_BACKEND": "postgres"}, ["ORIS_RUNTIME_BACKEND"]),
        ({"ORIS_SERVER_ADR": "127.0.0.1:1"}, ["ORIS_SERVER_ADR", "did you mean ORIS_SERVER_ADDR"]),
        ({"ORIS_SERVER_ADDR": "0.0.0.0:0"}, ["0.0.0.0:0", "no credential"]),
        ({"ORIS_METRICS_ADDR": "0.0.0.0:0"}, ["0.0.0.0:0", "no credential"]),
        ({"ORIS_API_AUTH_BEARER_TOKEN_FILE": "/nowhere"}, ["ORIS_API_AUTH_BEARER_TOKEN_FILE"]),
        ({"ORIS_LOG": "loud"}, ["ORIS_LOG", "loud"]),
    ],
)
def test_a_bad_setting_is_said(tmp_path: Path, settings: dict[str, str], words: list[str]) -> None:
    said = refused(tmp_path, **settings)
    assert [word for word in words if word not in said] == []
    assert not (tmp_path / "oris.db").exists()


def test_an_unknown_flag_or_key_is_said(tmp_path: Path) -> None:
    assert "--nothing" in refused(tmp_path / "a", "--nothing")
    file = tmp_path / "oris.toml"
    file.write_text('server_addr = "127.0.0.1:0"\nserver_name = "x"\n')
    assert "server_name" in refused(tmp_path / "b", "--config", str(file))


def test_check_refuses_a_database_without_the_schema(tmp_path: Path) -> None:
    assert "migrat" in refused(tmp_path, ORIS_MIGRATE="check")
    with serving(tmp_path) as server:
        assert server.stop() == 0
    with serving(tmp_path, ORIS_MIGRATE="check") as server:
        assert server.stop() == 0


def test_an_unknown_variable_is_one_warning(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_PORT="tcp://10.0.0.1:8080", RUST_LOG="info") as server:
        assert server.stop() == 0
        said = [line for line in server.stderr.read_text().splitlines() if not line.startswith("{")]
    assert len([line for line in said if "ORIS_PORT" in line]) == 1
    assert len([line for line in said if "RUST_LOG" in line]) == 1


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "oris.toml"
    file.write_text("max_lease_losses = 7\nmax_queue_depth = 8\nmax_tenant_queue_depth = 9\ndrain_limit_ms = 5000\n")
    arguments = ("--config", str(file), "--max-lease-losses", "1")
    with (
        serving(tmp_path, *arguments, ORIS_MAX_LEASE_LOSSES="5", ORIS_MAX_QUEUE_DEPTH="3") as server,
        server.client() as http,
    ):
        limits = data_of(http.get("/v1/admin/status"))["limits"]
        assert (limits["max_lease_losses"], limits["max_queue_depth"], limits["max_tenant_queue_depth"]) == (1, 3, 9)
        for number in range(3):
            data_of(http.post("/v1/jobs", json={"thread_id": f"t{number}", "idempotency_key": f"k{number}"}))
        full = http.post("/v1/jobs", json={"thread_id": "t3"})
        assert error_of(full) == (429, "backpressure", {"reason": "queue_full"})
        assert int(full.headers["retry-after"]) >= 1
        again = http.post("/v1/jobs", json={"thread_id": "t0", "idempotency_key": "k0"})
        assert data_of(again)["idempotent_replay"] is True
        # One lease that is lost is one too many.
        polled = data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "lease_ttl_seconds": 1}))
        ended = data_of(http.get("/v1/jobs/t0/result", params={"wait_ms": 30_000}))
        assert ended["status"] == "failed"
        entry = data_of(http.get(f"/v1/dlq/{polled['attempt_id']}"))
        assert (entry["reason"], entry["terminal_status"]) == ("lease_losses", "failed")
        assert entry["error"]["type"] == "lease_losses"


def test_a_tenant_has_a_queue_limit_of_its_own(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_MAX_TENANT_QUEUE_DEPTH="1") as server, server.client() as http:
        data_of(http.post("/v1/jobs", json={"thread_id": "a", "tenant_id": "blue"}))
        full = http.post("/v1/jobs", json={"thread_id": "b", "tenant_id": "blue"})
        assert error_of(full) == (429, "backpressure", {"reason": "tenant_queue_full"})
        data_of(http.post("/v1/jobs", json={"thread_id": "b", "tenant_id": "red"}))


def test_jobs_that_wait_for_their_time_do_not_fill_the_queue_and_no_tenant_fills_it_alone(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_MAX_QUEUE_DEPTH="4") as server, server.client() as http:

        def submit(thread: str, **said: object) -> httpx.Response:
            return http.post("/v1/jobs", json={"thread_id": thread, "tenant_id": "blue", **said})

        limits = data_of(http.get("/v1/admin/status"))["limits"]
        assert (limits["max_queue_depth"], limits["max_tenant_queue_depth"]) == (4, 2)
        assert (limits["max_delayed_jobs"], limits["max_tenant_delayed_jobs"]) == (40, 20)
        for number in range(20):
            data_of(submit(f"later{number}", delay_ms=300 * 86_400_000))
        assert error_of(submit("later20", delay_ms=60_000)) == (429, "backpressure", {"reason": "tenant_queue_full"})
        data_of(submit("now0"))
        data_of(submit("now1"))
        assert error_of(submit("now2")) == (429, "backpressure", {"reason": "tenant_queue_full"})
        for number in range(2):
            data_of(submit(f"red{number}", tenant_id="red"))
        assert error_of(submit("red2", tenant_id="red")) == (429, "backpressure", {"reason": "queue_full"})
        status = data_of(http.get("/v1/admin/status"))
        assert (status["queue_depth"], status["delayed_jobs"]) == (4, 20)


def test_secrets_come_from_files_and_are_told_to_nobody(tmp_path: Path) -> None:
    token, key = tmp_path / "token", tmp_path / "key"
    token.write_text("token-in-a-file\n")
    key.write_text("key-in-a-file\n")
    settings = {
        "ORIS_API_AUTH_BEARER_TOKEN_FILE": str(token),
        "ORIS_API_AUTH_API_KEY_FILE": str(key),
        "ORIS_API_AUTH_API_KEY_ROLE": "worker",
        "ORIS_LOG": "debug",
    }
    with serving(tmp_path, **settings) as server, server.client() as http:
        assert error_of(http.get("/v1/jobs"))[:2] == (401, "unauthorized")
        assert http.get("/v1/jobs", headers={"authorization": "Bearer token-in-a-file"}).status_code == 200
        assert http.get("/v1/jobs", headers={"x-api-key": "key-in-a-file"}).status_code == 403
        assert server.stop() == 0
        assert "in-a-file" not in server.stderr.read_text()


def test_a_credential_opens_the_server_to_other_machines(tmp_path: Path) -> None:
    settings = {"ORIS_SERVER_ADDR": "0.0.0.0:0", "ORIS_API_AUTH_BEARER_TOKEN": "secret"}
    with serving(tmp_path, **settings) as server:
        ready = server.line("server_ready")
        assert ready is not None
        assert (ready["auth"], ready["address"].partition(":")[0]) == ("on", "0.0.0.0")


def test_metrics_have_an_address_of_their_own(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_METRICS_ADDR="127.0.0.1:0") as server:
        ready = server.line("server_ready")
        assert ready is not None
        with httpx.Client(base_url=f"http://{ready['metrics_address']}") as http:
            assert metric(http.get("/metrics").text, f'oris_build_info{{version="{program_version()}"}}') == 1
            assert data_of(http.get("/healthz")) == {"status": "ok"}
            assert error_of(http.get("/v1/jobs"))[:2] == (404, "not_found")
        assert server.stop() == 0


def test_the_version_is_printed(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, "version")
    assert server.wait_end() == 0
    assert until(server.stderr.read_text, "a version").strip()
