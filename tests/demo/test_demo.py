"""The demo, as a person runs it: real processes, from the first to the last."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oris.demo.corpus import documents, thread_of
from oris.wire.names import NAME

LIMIT_S = 90


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that name this folder."""
    lines = subprocess.run(
        ["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in lines if str(folder) in line]


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "oris", "demo", "--folder", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"ended without {text!r}")


def test_the_demo_proves_its_point_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with start(folder) as process:
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, output
    assert "exactly once" in output
    assert re.search(r"kill -9 worker-1, in the middle of \S+: [123] of 4 steps recorded", output), output
    assert "lease expiry to restart" in output
    assert "curl -s 'http://127.0.0.1:8080/v1/jobs/" in output
    assert processes_of(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "demo"
    with start(folder) as process:
        read_until(process, "poll for work")
        process.send_signal(number)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert processes_of(folder) == []


def test_a_demo_whose_server_dies_says_so_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with start(folder) as process:
        read_until(process, "poll for work")
        [server] = [line for line in processes_of(folder) if "--sqlite-db" in line]
        os.kill(int(server.split()[0]), signal.SIGKILL)
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "server ended with -9" in output
    assert processes_of(folder) == []


def test_the_corpus_is_the_projects_documents_and_sources() -> None:
    found = documents()
    names = [document.thread_id for document in found]
    assert "docs:architecture.md" in names
    assert any(name.endswith(".py") for name in names)
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(NAME, name) for name in names)


def test_a_file_name_becomes_a_thread_name() -> None:
    assert thread_of(Path("a/b c.md")) == "a:b+c.md"
