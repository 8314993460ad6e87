"""The linter of Redocly, with its recommended rules, has no error to tell of the served document."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ..e2e.server_process import ServerProcess

INSTALLED = Path(__file__).parent / "node_modules" / ".bin" / "redocly"
REDOCLY = str(INSTALLED) if INSTALLED.exists() else shutil.which("redocly")

pytestmark = pytest.mark.skipif(
    REDOCLY is None or shutil.which("node") is None, reason="redocly is not installed: `make test` does it where npm is"
)


def lint(document: bytes, folder: Path) -> tuple[int, list[dict[str, object]]]:
    """The exit code, and what was found."""
    (folder / "openapi.json").write_bytes(document)
    command = [str(REDOCLY), "lint", "openapi.json", "--format=json", "--max-problems=1000"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)["problems"]


def test_the_linter_finds_no_error(server: ServerProcess, tmp_path: Path) -> None:
    with server.client() as http:
        code, problems = lint(http.get("/openapi.json").content, tmp_path)
    assert [problem for problem in problems if problem["severity"] == "error"] == []
    assert code == 0


def test_the_linter_finds_an_error_that_was_planted(server: ServerProcess, tmp_path: Path) -> None:
    with server.client() as http:
        document = http.get("/openapi.json").json()
    del document["paths"]["/v1/jobs"]["post"]["summary"]
    code, problems = lint(json.dumps(document).encode(), tmp_path)
    assert [problem["ruleId"] for problem in problems if problem["severity"] == "error"] == ["operation-summary"]
    assert code == 1
