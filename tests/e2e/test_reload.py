"""SIGHUP: certificates, credentials and log levels change in a running server, and no connection is dropped."""

from __future__ import annotations

import os
import pty
import signal
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from ..certificates import Authority, settings_of
from .raw_http import Connection, Cut, connect, connected
from .server_process import PATIENCE_S, Line, ServerProcess, data_of, serving, until
from .streams import streaming
from .test_tls import wait_parked

AUTHORITY = Authority()
CLIENTS = 8


def reload(server: ServerProcess, event: str = "reloaded") -> Line:
    """Send SIGHUP; the line that tells what came of it, once the reload is over."""
    told, done = len(server.lines(event)), len(server.lines("reloaded"))
    server.signal(signal.SIGHUP)
    until(lambda: len(server.lines("reloaded")) > done, "the reload is over")
    lines = server.lines(event)[told:]
    assert len(lines) == 1, server.lines()[-5:]
    return lines[0]


async def reload_from_trio(server: ServerProcess, event: str = "reloaded") -> Line:
    return await trio.to_thread.run_sync(reload, server, event)


async def fingerprint(server: ServerProcess, context: ssl.SSLContext) -> bytes:
    """Of the certificate that a new connection is shown."""
    async with connected(server.address, context) as connection:
        return shown(connection)


def shown(connection: Connection) -> bytes:
    assert isinstance(connection.stream, trio.SSLStream)
    certificate = connection.stream.getpeercert(binary_form=True)
    assert isinstance(certificate, bytes)
    return certificate


async def test_a_new_certificate_is_shown_to_new_connections_and_none_is_dropped(tmp_path: Path) -> None:
    settings = settings_of(AUTHORITY.write(tmp_path / "tls"))
    context = AUTHORITY.client_context()
    poll = {"worker_id": "w", "wait_ms": 55_000}
    with serving(tmp_path, **settings) as server:
        address = server.address
        async with connected(address, context) as kept, connected(address, context) as parked:
            assert (await kept.ask("GET", "/healthz")).status == 200
            await parked.send("POST", "/v1/workers/poll", poll)
            await wait_parked(kept, 1)
            old = shown(kept)
            assert await fingerprint(server, context) == old
            AUTHORITY.write(tmp_path / "tls")
            line = await reload_from_trio(server)
            assert line["changed"] == ["tls"]
            new = await fingerprint(server, context)
            assert new != old
            assert (await kept.post("/v1/jobs", {"thread_id": "t"})).status == 200
            with trio.fail_after(PATIENCE_S):
                (attempt,) = (await parked.read()).data["attempts"]
            assert attempt["thread_id"] == "t"
        assert server.stop() == 0


async def test_reloads_under_load_drop_nothing(tmp_path: Path) -> None:
    settings = settings_of(AUTHORITY.write(tmp_path / "tls"))
    context = AUTHORITY.client_context()
    answered = [0] * CLIENTS
    with serving(tmp_path, **settings) as server:

        async def work(number: int) -> None:
            """One connection for ever, and a fresh one for each second request."""
            async with connected(server.address, context) as kept:
                while True:
                    assert (await kept.post("/v1/jobs", {"thread_id": f"{number}-{answered[number]}"})).status == 200
                    async with connected(server.address, context) as fresh:
                        assert (await fresh.ask("GET", "/healthz")).status == 200
                    answered[number] += 1

        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(work, number)
            seen = set()
            for _ in range(5):
                before = list(answered)
                AUTHORITY.write(tmp_path / "tls")
                assert (await reload_from_trio(server))["changed"] == ["tls"]
                seen.add(await fingerprint(server, context))
                with trio.fail_after(PATIENCE_S):
                    while any(now == then for now, then in zip(answered, before, strict=True)):
                        await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert len(seen) == 5
        assert server.stop() == 0
        assert len(server.check_rows().jobs) >= sum(answered)
        assert server.lines("connection_failed") == []


async def test_a_bad_file_keeps_the_certificate_in_force(tmp_path: Path) -> None:
    files = AUTHORITY.write(tmp_path / "tls")
    context = AUTHORITY.client_context()
    with serving(tmp_path, **settings_of(files)) as server:
        old = await fingerprint(server, context)
        files.key.write_bytes(Authority().write(tmp_path / "other").key.read_bytes())
        error = await reload_from_trio(server, "reload_failed")
        assert error["level"] == "error"
        assert error["detail"].startswith(f"ORIS_TLS_KEY: file {files.key} does not belong to the certificate")
        assert await fingerprint(server, context) == old
        AUTHORITY.write(tmp_path / "tls")
        assert (await reload_from_trio(server))["changed"] == ["tls"]
        assert await fingerprint(server, context) != old


async def test_another_client_ca_shuts_out_those_of_the_old(tmp_path: Path) -> None:
    old, new = Authority(), Authority()
    ca = old.write_ca(tmp_path / "ca.pem")
    as_old = AUTHORITY.client_context(old.write(tmp_path / "tls", "old"))
    as_new = AUTHORITY.client_context(new.write(tmp_path / "tls", "new"))
    with serving(tmp_path, **settings_of(AUTHORITY.write(tmp_path / "tls", client_ca=ca))) as server:

        async def is_let_in(context: ssl.SSLContext) -> bool:
            try:
                async with connected(server.address, context) as connection:
                    return (await connection.ask("GET", "/healthz")).status == 200
            except Cut:
                return False

        assert (await is_let_in(as_old), await is_let_in(as_new)) == (True, False)
        kept = await connect(server.address, as_old)
        new.write_ca(ca)
        assert (await reload_from_trio(server))["changed"] == ["tls"]
        assert (await is_let_in(as_old), await is_let_in(as_new)) == (False, True)
        assert (await kept.ask("GET", "/healthz")).status == 200
        await kept.stream.aclose()


def status(http: httpx.Client, **headers: str) -> int:
    return http.get("/v1/jobs", headers={name.replace("_", "-"): value for name, value in headers.items()}).status_code


def test_rotated_credentials_count_from_the_next_request_on(tmp_path: Path) -> None:
    token, key = tmp_path / "token", tmp_path / "key"
    token.write_text("token-one\n")
    key.write_text("key-one\n")
    settings = {"ORIS_API_AUTH_BEARER_TOKEN_FILE": str(token), "ORIS_API_AUTH_API_KEY_FILE": str(key)}
    with serving(tmp_path, **settings) as server, server.client() as http:
        assert (status(http, authorization="Bearer token-one"), status(http, x_api_key="key-one")) == (200, 200)
        token.write_text("token-two\n")
        assert status(http, authorization="Bearer token-two") == 401
        assert reload(server)["changed"] == ["api_auth_bearer_token"]
        assert (status(http, authorization="Bearer token-one"), status(http, authorization="Bearer token-two")) == (
            401,
            200,
        )
        assert status(http, x_api_key="key-one") == 200
        # One that cannot be read keeps what there was; the other is taken over all the same.
        token.write_text("\n")
        key.write_text("key-two\n")
        error = reload(server, "reload_failed")
        assert error["level"] == "error"
        assert error["detail"] == f"environment ORIS_API_AUTH_BEARER_TOKEN_FILE: file {token} is empty"
        assert status(http, authorization="Bearer token-two") == 200
        assert (status(http, x_api_key="key-one"), status(http, x_api_key="key-two")) == (401, 200)
        token.unlink()
        assert "No such file" in reload(server, "reload_failed")["detail"]
        assert status(http, authorization="Bearer token-two") == 200
        assert server.stop() == 0
        said = server.stderr.read_text()
        assert [secret for secret in ("token-one", "token-two", "key-one", "key-two") if secret in said] == []


async def test_who_is_at_work_under_a_token_that_was_replaced_is_sent_away_and_nobody_else(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("token-one\n")
    settings = {"ORIS_API_AUTH_BEARER_TOKEN_FILE": str(token), "ORIS_API_AUTH_API_KEY": "key-one"}
    old, kept = "authorization: Bearer token-one", "x-api-key: key-one"
    poll = {"worker_id": "w", "wait_ms": 55_000, "workflows": ["other"]}
    with serving(tmp_path, **settings) as server:
        address, path = server.address, "/v1/jobs/t/events"
        async with connected(address) as parked, connected(address) as admin, connected(address) as waiting:
            assert (await admin.ask("POST", "/v1/jobs", {"thread_id": "t"}, kept)).status == 200
            await parked.send("POST", "/v1/workers/poll", poll, old)
            await waiting.send("POST", "/v1/workers/poll", {**poll, "worker_id": "w2"}, kept)
            with trio.fail_after(PATIENCE_S):
                while (await admin.ask("GET", "/v1/admin/status", None, kept)).data["parked_polls"] != 2:
                    await trio.sleep(0.01)
            async with streaming(address, path, old) as cut, streaming(address, path, kept) as whole:
                for stream in (cut, whole):
                    told = [await stream.event(), await stream.event()]
                    assert [event and event.kind for event in told] == ["run_created", "attempt_queued"]
                token.write_text("token-two\n")
                assert (await reload_from_trio(server))["changed"] == ["api_auth_bearer_token"]
                with trio.fail_after(PATIENCE_S):
                    assert (await parked.read()).status == 401
                    with pytest.raises(Cut):
                        await cut.event()
                assert (await admin.ask("POST", "/v1/jobs/t/cancel", {}, kept)).status == 200
                with trio.fail_after(PATIENCE_S):
                    assert [event.kind for event in await whole.events(2)] == ["cancel_requested", "cancelled"]
            other = {"thread_id": "other", "workflow": "other"}
            assert (await admin.ask("POST", "/v1/jobs", other, kept)).status == 200
            with trio.fail_after(PATIENCE_S):
                (attempt,) = (await waiting.read()).data["attempts"]
            assert attempt["thread_id"] == "other"
        assert server.stop() == 0


def write(path: Path, **settings: Any) -> None:
    """A config file."""
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))


def test_the_log_level_of_the_config_file_is_taken_over_and_other_changes_are_named(tmp_path: Path) -> None:
    file = tmp_path / "oris.toml"
    write(file, log="info", max_queue_depth=10)
    with serving(tmp_path, "--config", str(file)) as server, server.client() as http:
        data_of(http.get("/v1/jobs"))
        assert not [line for line in server.lines() if line["level"] == "debug"]
        write(file, log="info,oris.api=debug", max_queue_depth=20)
        line = reload(server)
        assert (line["changed"], line["log"]) == (["log"], "info,oris.api=debug")
        data_of(http.get("/v1/jobs"))
        until(lambda: [each for each in server.lines("request") if each["level"] == "debug"], "a request is told")
        (warning,) = server.lines("reload_needs_restart")
        assert (warning["level"], warning["settings"]) == ("warning", ["max_queue_depth"])
        assert data_of(http.get("/v1/admin/status"))["limits"]["max_queue_depth"] == 10
        file.write_text("log = [")
        assert str(file) in reload(server, "reload_failed")["detail"]
        # Quiet again: this last line is still told.
        write(file, log="error", max_queue_depth=10)
        assert reload(server)["log"] == "error"
        told = len(server.lines())
        data_of(http.get("/v1/jobs"))
        assert server.stop() == 0
        assert len(server.lines()) == told


@pytest.mark.parametrize("given", ["environment", "flag"])
def test_a_stronger_source_still_wins_after_a_reload(tmp_path: Path, given: str) -> None:
    file = tmp_path / "oris.toml"
    write(file, log="info")
    arguments = ["--config", str(file), *(["--log", "info"] if given == "flag" else [])]
    with serving(tmp_path, *arguments, **({"ORIS_LOG": "info"} if given == "environment" else {})) as server:
        write(file, log="debug")
        assert reload(server)["changed"] == []


def test_credentials_and_tls_come_and_go_only_with_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "oris.toml"
    write(file, api_auth_api_key="key-one")
    with serving(tmp_path, "--config", str(file)) as server, server.client() as http:
        files = AUTHORITY.write(tmp_path / "tls")
        write(file, api_auth_bearer_token="token-one", tls_cert=str(files.cert), tls_key=str(files.key))
        warning = reload(server, "reload_needs_restart")
        assert warning["settings"] == ["api_auth_bearer_token", "api_auth_api_key", "tls_cert", "tls_key"]
        assert (status(http), status(http, x_api_key="key-one")) == (401, 200)
        assert status(http, authorization="Bearer token-one") == 401


def test_a_hundred_signals_at_once_end_in_the_newest_state(tmp_path: Path) -> None:
    file = tmp_path / "oris.toml"
    with serving(tmp_path, "--config", str(file), **start(file)) as server:
        for number in range(100):
            write(file, log=f"info,x{number}=debug")
            server.signal(signal.SIGHUP)
        newest = "info,x99=debug"
        until(lambda: newest in levels(server), newest)
        assert server.stop() == 0
        assert levels(server)[-1] == newest


def levels(server: ServerProcess) -> list[str]:
    """What the reloads have taken over, in order; those that found nothing new left out."""
    return [line["log"] for line in server.lines("reloaded") if "log" in line]


IN_TERMINAL = """
import os, signal, sys
os.setsid()
os.open(sys.argv[1], os.O_RDWR)
# These tests may themselves run under nohup, whose children are not to end with their terminal either.
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] == "nohup" else signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "oris"])
"""


@pytest.mark.parametrize("how", ["plainly", "nohup"])
def test_a_server_in_a_terminal_ends_with_it_unless_it_was_asked_not_to(tmp_path: Path, how: str) -> None:
    terminal, end = pty.openpty()
    with serving(tmp_path, os.ttyname(end), how, program=("-c", IN_TERMINAL)) as server:
        reload(server)
        os.close(end)
        if how == "nohup":
            done = len(server.lines("reloaded"))
            os.close(terminal)
            until(lambda: len(server.lines("reloaded")) > done, "one more reload")
            assert server.stop() == 0
        else:
            os.close(terminal)
            assert server.wait_end() == 0
            stopped = server.line("server_stopped")
            assert stopped is not None
            assert stopped["reason"] == "SIGHUP"


def start(file: Path) -> dict[str, str]:
    """Makes the file that the server begins with."""
    write(file, log="info")
    return {}
