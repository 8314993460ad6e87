"""Node's fetch: a job from submit to ack, over connections that were idle in between."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import trio

from ..e2e.server_process import ServerProcess

NODE = shutil.which("node")
IDLE_MS = (0, 3900, 4980, 5000, 12_000)
SCRIPT = Path(__file__).parent / "job.mjs"

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


async def test_a_job_over_fetch_is_done_however_long_its_worker_was_silent(server: ServerProcess) -> None:
    said: list[dict[str, object]] = []

    async def run(idle_ms: int) -> None:
        command = [str(NODE), str(SCRIPT), server.url, f"node{idle_ms}", str(idle_ms)]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))

    async with trio.open_nursery() as nursery:
        for idle_ms in IDLE_MS:
            nursery.start_soon(run, idle_ms)
    assert said == [{"status": "completed", "events": 5}] * len(IDLE_MS)
