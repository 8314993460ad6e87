"""README.md's first job, word for word: its worker, its client, and the same by hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.server_process import ServerProcess, clean_environment, serving, until

from .pythons import ROOT

README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    """The blocks of one language in the section about the first job."""
    section = README.split("\n## A first job\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def for_server(block: str, server: ServerProcess) -> str:
    """The block as it is, but for the port."""
    assert ADDRESS in block
    return block.replace(ADDRESS, "{}:{}".format(*server.address))


def run(block: str, server: ServerProcess) -> list[Any]:
    """Run a shell's block; the data of each answer it prints, a stream of events as its lines."""
    done = subprocess.run(
        ["sh", "-e", "-u", "-c", for_server(block, server)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    answers, rest = [], done.stdout
    while rest.lstrip().startswith("{"):
        answer, end = json.JSONDecoder().raw_decode(rest.lstrip())
        rest = rest.lstrip()[end:]
        answers.append(answer["data"])
    return [*answers, *([rest.strip()] if rest.strip() else [])]


@contextmanager
def pasted(folder: Path, server: ServerProcess) -> Iterator[Path]:
    """The worker, saved and started as README.md says; what it prints."""
    [source] = blocks("python")
    (folder / "worker.py").write_text(for_server(source, server))
    printed = folder / "printed"
    with printed.open("wb") as output:
        # -I -S: nothing but the standard library, neither installed packages nor this checkout.
        command = [sys.executable, "-I", "-S", "worker.py"]
        worker = subprocess.Popen(command, cwd=folder, env=clean_environment(), stdout=output, stderr=output)
    try:
        yield printed
        assert worker.poll() is None, printed.read_text()
    finally:
        worker.kill()
        worker.wait()


def test_the_readmes_blocks_work_as_they_stand(tmp_path: Path) -> None:
    assert shutil.which("curl"), "README.md's client is curl"
    client, by_hand = blocks("sh")
    with serving(tmp_path) as server:
        with pasted(tmp_path, server) as printed:
            submitted, result, seen, timeline, events = run(client, server)
            until(lambda: "completed" in printed.read_text(), "the worker to say that it is done")
            assert printed.read_text() == "invoice-17 is completed: {'total': 42}\n"
        assert submitted["thread_id"] == "invoice-17"
        assert (result["status"], result["result"]) == ("completed", {"total": 42})
        assert seen["status"] == "completed"
        types = [event["event_type"] for event in timeline["timeline"]]
        expected = ["run_created", "attempt_queued", "lease_granted", *["step_recorded"] * 3, "completed"]
        assert types == expected
        assert re.findall(r"^event: ?(.*)$", events, re.MULTILINE) == expected

        submitted, acked, seen = run(by_hand, server)
        assert submitted["status"] == "queued"
        assert acked["status"] == "completed"
        assert (seen["status"], seen["result"]) == ("completed", {"total": 14})
        assert run(client, server)[0]["idempotent_replay"] is True


def test_a_pasted_worker_goes_on_where_the_one_before_was_killed(tmp_path: Path) -> None:
    """Its comment is true: what is recorded is not done again."""
    with serving(tmp_path) as server, server.client() as http:
        http.post("/v1/jobs/run", json={"thread_id": "t", "input": {"pages": 2}})
        poll = {"worker_id": "before", "lease_ttl_seconds": 1}
        [job] = http.post("/v1/workers/poll", json=poll).json()["data"]["attempts"]
        ids = {"attempt_id": job["attempt_id"], "lease_id": job["lease_id"]}
        step = {"action_id": "page-1", "status": "succeeded", "dedupe_token": "page-1", "output": 1000}
        assert http.post("/v1/workers/before/report-step", json={**ids, **step}).status_code == 200
        with pasted(tmp_path, server):
            ended = http.get("/v1/jobs/t/result", params={"wait_ms": 20_000}).json()["data"]
        assert (ended["status"], ended["result"]) == ("completed", {"total": 1014})


def test_the_worker_to_be_pasted_is_short() -> None:
    [source] = blocks("python")
    assert len(source.splitlines()) <= 30
