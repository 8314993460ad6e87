"""`kill -9` of the server, again and again under load: what was answered is there, and nothing runs twice (I7, I12)."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import trio

from oris.core.chain import first_bad_seq
from oris.core.invariants import Snapshot, check_all
from oris.ids import RunId

from .left_behind import left_behind
from .raw_http import Connection, Cut, Reply, connect
from .server_process import ServerProcess

KILLS = 20
CLIENTS = 6
WORKERS = 4
STEPS = ("first", "second")
LIMIT_S = 120.0


@dataclass
class Ledger:
    """What the server has acknowledged, by what clients and workers have seen themselves."""

    submits: dict[str, str] = field(default_factory=dict)
    """Run by thread."""
    steps: dict[tuple[str, str], str] = field(default_factory=dict)
    """Output by run and action."""
    acks: dict[str, str] = field(default_factory=dict)
    """Result by run."""
    wrong: list[str] = field(default_factory=list)

    @property
    def operations(self) -> int:
        """How much was acknowledged."""
        return len(self.submits) + len(self.steps) + len(self.acks)


class Line:
    """One party's way to whatever server there is now: a call is repeated until one answers it."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._connection: Connection | None = None

    async def post(self, path: str, body: dict[str, Any]) -> Reply:
        """The first answer that is one: not a cut connection, and not 503, which asks for a repeat."""
        while True:
            address = await self._up.address()
            try:
                if self._connection is None:
                    self._connection = await connect(address)
                reply = await self._connection.post(path, body)
            except Cut:
                self._up.repeats += 1
                self.close()
                await trio.lowlevel.checkpoint()
                continue
            if reply.status != 503:
                return reply

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            assert isinstance(self._connection.stream, trio.SocketStream)
            self._connection.stream.socket.close()
            self._connection = None


class Up:
    """Where the server is, while there is one."""

    def __init__(self) -> None:
        self.repeats = 0
        self._address: tuple[str, int] | None = None
        self._changed = trio.Event()

    def note(self, address: tuple[str, int] | None) -> None:
        """There is a server, or there is none."""
        self._address = address
        self._changed.set()
        self._changed = trio.Event()

    async def address(self) -> tuple[str, int]:
        """Where it is, once there is one."""
        while self._address is None:
            await self._changed.wait()
        return self._address


async def submit_for_ever(up: Up, ledger: Ledger, name: str, stop: trio.Event) -> None:
    """A client that never gives up on a submit: the same key until it has an answer."""
    with closing(Line(up)) as line:
        for number in count():
            if stop.is_set():
                return
            thread = f"{name}-{number}"
            body = {"thread_id": thread, "idempotency_key": thread, "input": number}
            reply = await line.post("/v1/jobs/run", body)
            if reply.status != 200:
                ledger.wrong.append(f"submit of {thread}: {reply.body!r}")
                return
            ledger.submits[thread] = reply.data["run_id"]


async def work_for_ever(up: Up, ledger: Ledger, name: str) -> None:
    """A worker that repeats every call until it is answered: polls under their poll id, writes under their lease."""
    with closing(Line(up)) as line:
        for number in count():
            asked = {"limit": 4, "wait_ms": 500, "lease_ttl_seconds": 120}
            reply = await line.post("/v1/workers/poll", {"worker_id": name, "poll_id": f"{name}-{number}"} | asked)
            if reply.status != 200:
                ledger.wrong.append(f"poll: {reply.body!r}")
                return
            for attempt in reply.data["attempts"]:
                await execute(line, ledger, name, attempt)


async def execute(line: Line, ledger: Ledger, name: str, attempt: dict[str, Any]) -> None:
    """The steps that are not recorded yet, then the ack."""
    run_id = attempt["run_id"]
    if run_id in ledger.acks:
        ledger.wrong.append(f"{run_id} was granted after its acknowledged completion")
    lease = {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
    recorded = {step["action_id"]: step["output"] for step in attempt["steps"]}
    for action in STEPS:
        output = f"{action} of {run_id}"
        if (run_id, action) in ledger.steps and recorded.get(action) != output:
            ledger.wrong.append(f"{run_id} was not handed its step {action}")
        if action not in recorded:
            step = {"action_id": action, "status": "succeeded", "dedupe_token": "1", "output": output}
            reply = await line.post(f"/v1/workers/{name}/report-step", lease | step)
            if reply.status != 200:
                ledger.wrong.append(f"step of {run_id}: {reply.body!r}")
                return
            ledger.steps[run_id, action] = output
    result = f"{attempt['thread_id']} by {name}"
    reply = await line.post(f"/v1/workers/{name}/ack", lease | {"terminal_status": "completed", "result": result})
    if reply.status != 200:
        ledger.wrong.append(f"ack of {run_id}: {reply.body!r}")
        return
    ledger.acks[run_id] = result


def check(rows: Snapshot, ledger: Ledger) -> None:
    """Everything that was acknowledged is there, and everything that is there holds together."""
    assert check_all(rows) == []
    runs = {job.run_id: job for job in (*rows.jobs.values(), *rows.past_runs.values())}
    for entries in rows.entries.values():
        assert first_bad_seq(entries) is None
        ends = Counter(entry.run_id for entry in entries if entry.event_type == "completed")
        assert set(ends.values()) <= {1}
    for thread, run_id in ledger.submits.items():
        assert runs[RunId(run_id)].thread_id == thread
    payloads = rows.payloads
    for (run_id, action), output in ledger.steps.items():
        job = runs[RunId(run_id)]
        (step,) = [step for step in rows.steps[job.run_id] if step.action_id == action]
        assert json.loads(payloads[job.job_key, step.seq]) == output
    for run_id, result in ledger.acks.items():
        job = runs[RunId(run_id)]
        assert job.status == "completed"
        assert json.loads(payloads[job.job_key, job.result_seq]) == result


async def start(folder: Path) -> ServerProcess:
    """The next server on the same file."""
    server = ServerProcess(folder)
    try:
        await trio.to_thread.run_sync(server.wait_ready)
    except BaseException:
        server.kill()
        raise
    return server


async def wait_for(ledger: Ledger, operations: int) -> None:
    """Until so much was acknowledged, or something went wrong."""
    while ledger.operations < operations and not ledger.wrong:
        await trio.sleep(0.002)
    assert ledger.wrong == []


async def test_nothing_that_was_acknowledged_is_lost_over_twenty_kills(tmp_path: Path) -> None:
    ledger, stop, random, up = Ledger(), trio.Event(), Random(20), Up()
    server = await start(tmp_path)
    try:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                up.note(server.address)
                for number in range(CLIENTS):
                    nursery.start_soon(submit_for_ever, up, ledger, f"c{number}", stop)
                for number in range(WORKERS):
                    nursery.start_soon(work_for_ever, up, ledger, f"w{number}")
                for _ in range(KILLS):
                    await wait_for(ledger, ledger.operations + random.randint(10, 60))
                    server.kill()
                    up.note(None)
                    check(left_behind(server.database), ledger)
                    server = await start(tmp_path)
                    up.note(server.address)
                assert up.repeats > KILLS
                stop.set()
                while set(ledger.acks) != set(ledger.submits.values()):
                    await wait_for(ledger, ledger.operations + 1)
                nursery.cancel_scope.cancel()
        assert server.stop() == 0
        rows = server.check_rows()
        check(rows, ledger)
        assert {job.status for job in rows.jobs.values()} == {"completed"}
        assert len(rows.jobs) == len(ledger.submits)
        assert len(ledger.steps) == len(STEPS) * len(ledger.acks)
    finally:
        server.kill()
