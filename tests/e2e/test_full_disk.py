"""Another program fills the disk in the middle of a load: nothing acknowledged is lost, running work ends, reads go on,
and service comes back by itself with the room."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import trio

from ..small_disk import Hog, small_disk
from .calls import lease_of
from .raw_http import Connection, Reply, connect, connected
from .server_process import ServerProcess, metric, serving
from .test_kill import Ledger, Up, check, work_for_ever

MIB = 1024 * 1024
DISK_BYTES = 64 * MIB
RESERVE_BYTES = 12 * MIB
PAYLOAD = "x" * 8_000
HELD = 40
SMALL_WAL = str(Path(__file__).with_name("small_wal.py"))
WAL_BYTES = 20 * MIB
"""What that program takes for a large log: more than lies there between two checkpoints."""
LIMIT_S = 120.0
CONDITION_S = 30.0


def on(disk: Path) -> dict[str, str]:
    """The settings of a server whose database lies there; its log lies elsewhere."""
    return {"ORIS_SQLITE_DB": str(disk / "oris.db"), "ORIS_DISK_RESERVE_BYTES": str(RESERVE_BYTES)}


async def until(condition: Callable[[], bool], what: str) -> None:
    """Until something that other tasks do has come true."""
    with trio.move_on_after(CONDITION_S):
        while not condition():
            await trio.sleep(0.002)
        return
    raise AssertionError(f"not within {CONDITION_S:g} s: {what}")


async def page(connection: Connection, wanted: Callable[[Any], bool], what: str) -> Any:
    """The first status page that is as wanted."""
    with trio.move_on_after(CONDITION_S):
        while True:
            status = (await connection.ask("GET", "/v1/admin/status")).data
            if wanted(status):
                return status
    raise AssertionError(f"not within {CONDITION_S:g} s: {what}; {status}")


async def ready(connection: Connection) -> tuple[int, str]:
    """What a balancer sees."""
    reply = await connection.ask("GET", "/readyz")
    return reply.status, json.loads(reply.body)["data"]["store"]


async def metrics(connection: Connection) -> str:
    """The page of metrics."""
    return (await connection.ask("GET", "/metrics")).body.decode()


class Clients:
    """Submit as fast as they are answered, each under a key, until told to stop; what is refused is counted."""

    def __init__(self, up: Up, ledger: Ledger) -> None:
        self.stop = False
        self.refused = 0
        self._up = up
        self._ledger = ledger

    async def run(self, name: str) -> None:
        """One client. A refused submit is sent again, the same one, until it is accepted."""
        async with (await connect(await self._up.address())).stream as stream:
            connection = Connection(stream)
            for number in count():
                if self.stop:
                    return
                thread = f"{name}-{number}"
                body = {"thread_id": thread, "idempotency_key": thread, "input": PAYLOAD, "workflow": "load"}
                reply = await self._submit(connection, body)
                if reply is not None:
                    self._ledger.submits[thread] = reply.data["run_id"]

    async def _submit(self, connection: Connection, body: object) -> Reply | None:
        while not self.stop:
            reply = await connection.post("/v1/jobs/run", body)
            if reply.status == 200:
                return reply
            if reply.reason != "store_unavailable" or int(reply.headers.get("retry-after", "0")) < 1:
                self._ledger.wrong.append(f"submit: {reply.status} {reply.headers} {reply.body!r}")
            self.refused += 1
            await trio.sleep(0.01)
        return None


async def take(connection: Connection, number: int) -> list[Any]:
    """So many jobs that run, held by one worker."""
    jobs = [{"thread_id": f"held-{n}", "workflow": "held", "input": PAYLOAD} for n in range(number)]
    assert (await connection.post("/v1/jobs/batch", {"jobs": jobs})).status == 200
    asked = {"worker_id": "holder", "workflows": ["held"], "limit": number, "lease_ttl_seconds": 600}
    polled = (await connection.post("/v1/workers/poll", asked)).data
    assert len(polled["attempts"]) == number
    return list(polled["attempts"])


async def finish(connection: Connection, attempt: Any, ledger: Ledger) -> None:
    """Everything a worker does with an attempt, each call answered at the first try."""
    lease, run_id = lease_of(attempt), attempt["run_id"]
    beaten = await connection.post("/v1/workers/holder/heartbeat", {"lease_id": lease["lease_id"]})
    assert beaten.status == 200, beaten.body
    step = {"action_id": "a", "status": "succeeded", "dedupe_token": "1", "output": PAYLOAD}
    reported = await connection.post("/v1/workers/holder/report-step", lease | step)
    assert reported.status == 200, reported.body
    ledger.steps[run_id, "a"] = PAYLOAD
    acked = await connection.post("/v1/workers/holder/ack", lease | {"terminal_status": "completed", "result": run_id})
    assert acked.status == 200, acked.body
    ledger.acks[run_id] = run_id


def check_end(server: ServerProcess, ledger: Ledger) -> None:
    """Stopped in order, everything that was acknowledged is there and holds together."""
    assert server.stop() == 0
    assert ledger.wrong == []
    check(server.check_rows(), ledger)
    with closing(sqlite3.connect(server.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_running_work_ends_on_a_full_disk_and_service_comes_back_with_the_room(tmp_path: Path) -> None:
    ledger, up = Ledger(), Up()
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk, serving(tmp_path, **on(disk)) as server:
        up.note(server.address)
        hog, clients = Hog(disk), Clients(up, ledger)
        with trio.fail_after(LIMIT_S):
            async with connected(server.address) as holder, connected(server.address) as reader:
                held = await take(holder, HELD)
                async with trio.open_nursery() as nursery:
                    for number in range(4):
                        nursery.start_soon(clients.run, f"c{number}")
                    for number in range(3):
                        nursery.start_soon(work_for_ever, up, ledger, f"w{number}")
                    await until(lambda: ledger.operations > 150, "there is a load")
                    hog.fill()
                    await until(lambda: clients.refused > 0, "submits are refused")
                    full = await page(reader, lambda s: s["store"]["state"] == "low_disk", "the disk is told to be low")
                    assert "new jobs are refused" in full["store"]["disk"]
                    assert await ready(reader) == (200, "low_disk")
                    await _works_on(holder, reader, held[: HELD // 2], ledger)
                    assert metric(await metrics(reader), 'oris_runtime_backpressure_active{reason="disk_full"}') == 1
                    # The workers of the load end what was queued too.
                    submitted = len(ledger.submits)
                    await until(lambda: set(ledger.submits.values()) <= ledger.acks.keys(), "the queue runs empty")
                    assert len(ledger.submits) == submitted
                    hog.fill()
                    for attempt in held[HELD // 2 :]:
                        await finish(holder, attempt, ledger)
                    hog.free()
                    await until(lambda: len(ledger.submits) > submitted + 20, "submits are accepted again")
                    healed = await page(reader, lambda s: s["store"]["state"] == "ok", "the disk is well again")
                    assert healed["store"]["space"]["held_bytes"] == RESERVE_BYTES
                    clients.stop = True
                    await until(lambda: set(ledger.submits.values()) <= ledger.acks.keys(), "everything ends")
                    nursery.cancel_scope.cancel(reason="the load is over")
        names = [line["event"] for line in server.lines()]
        assert names.index("disk_low") < names.index("disk_recovered")
        check_end(server, ledger)


async def _works_on(holder: Connection, reader: Connection, held: list[Any], ledger: Ledger) -> None:
    """On the full disk: attempts end, keys are still known, reads are answered, cancels accepted."""
    for attempt in held:
        await finish(holder, attempt, ledger)
    thread, run_id = next(iter(ledger.submits.items()))
    body = {"thread_id": thread, "idempotency_key": thread, "input": PAYLOAD, "workflow": "load"}
    repeated = await reader.post("/v1/jobs/run", body)
    assert (repeated.data["run_id"], repeated.data["idempotent_replay"]) == (run_id, True)
    assert (await reader.ask("GET", f"/v1/jobs/{thread}/timeline")).status == 200
    refused = await reader.post("/v1/jobs/run", {"thread_id": "new", "input": PAYLOAD})
    assert (refused.status, refused.reason, refused.headers["retry-after"]) == (503, "store_unavailable", "5")
    assert json.loads(refused.body)["error"]["details"]["cause"] == "disk_full"


async def test_without_any_room_writes_are_refused_and_reads_go_on_until_there_is_some(tmp_path: Path) -> None:
    """The other program takes the reserve as well, whenever some of it is given up."""
    ledger = Ledger()
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk, serving(tmp_path, **on(disk)) as server:
        hog = Hog(disk)
        with trio.fail_after(LIMIT_S):
            async with connected(server.address) as holder, connected(server.address) as reader:
                held = await take(holder, HELD)
                for number in count():
                    hog.fill()
                    step = {"action_id": f"big-{number}", "status": "succeeded", "dedupe_token": "1"}
                    body = lease_of(held[number % HELD]) | step | {"output": "x" * 100_000}
                    reply = await holder.post("/v1/workers/holder/report-step", body)
                    if reply.status != 200 and await ready(reader) == (503, "unavailable"):
                        break
                assert (reply.status, reply.reason) == (503, "store_unavailable")
                assert json.loads(reply.body)["error"]["details"]["cause"] == "disk_full"
                assert (await reader.ask("GET", "/v1/jobs/held-0")).data["status"] == "running"
                assert metric(await metrics(reader), 'oris_store_refused_commits_total{cause="disk_full"}') > 0
                await page(reader, lambda s: s["store"]["space"]["held_bytes"] == 0, "the reserve is used up")
                hog.free()
                await page(reader, lambda s: s["store"]["state"] == "ok", "the store is well again by itself")
                assert (await ready(reader)) == (200, "ok")
                for attempt in held:
                    await finish(holder, attempt, ledger)
                assert (await reader.post("/v1/jobs/run", {"thread_id": "new", "input": PAYLOAD})).status == 200
        check_end(server, ledger)


async def test_a_server_starts_again_on_a_full_disk_with_the_reserve_it_left(tmp_path: Path) -> None:
    ledger = Ledger()
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        hog = Hog(disk)
        with serving(tmp_path, **on(disk)) as server, trio.fail_after(LIMIT_S):
            async with connected(server.address) as holder:
                held = await take(holder, HELD)
            assert server.stop() == 0
        hog.fill()
        with serving(tmp_path, **on(disk)) as server, trio.fail_after(LIMIT_S):
            async with connected(server.address) as holder:
                for attempt in held:
                    await finish(holder, attempt, ledger)
                refused = await holder.post("/v1/jobs/run", {"thread_id": "new"})
                assert (refused.status, refused.reason) == (503, "store_unavailable")
            check_end(server, ledger)


async def test_a_reader_that_lasts_grows_the_log_until_it_is_cut_off(tmp_path: Path) -> None:
    """Another program's reader keeps the WAL from starting over; when it has gone the server cuts it by itself."""
    with serving(tmp_path, program=(SMALL_WAL,)) as server, trio.fail_after(LIMIT_S):
        with closing(sqlite3.connect(server.database, isolation_level=None)) as outside:
            outside.execute("BEGIN")
            outside.execute("SELECT count(*) FROM runtime_jobs").fetchone()
            async with connected(server.address) as client:
                for number in count():
                    jobs = [{"thread_id": f"t-{number}-{n}", "input": "x" * 900_000} for n in range(4)]
                    assert (await client.post("/v1/jobs/batch", {"jobs": jobs})).status == 200
                    if server.line("wal_large") is not None:
                        break
                grown = server.line("wal_large")
                assert grown is not None
                assert grown["cut_off"] is False
                outside.execute("ROLLBACK")
                await page(client, lambda s: s["store"]["space"]["wal_bytes"] < WAL_BYTES, "the log is cut off")
        assert server.stop() == 0
        server.check_rows()
