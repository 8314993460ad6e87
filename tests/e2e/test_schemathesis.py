"""Schemathesis reads the document of a live server and sends what it allows, and what it forbids.

It knows nothing but the document, so every difference between the two is found from outside: statuses and schemas of
answers, headers, bodies that should have been refused, methods that are not there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .server_process import ServerProcess, clean_environment, serving

TOKEN = "t" * 40
"""An open server would be closed by the first key that is made."""
LEFT_OUT = {
    "ignored_auth": "it sends the token along; test_roles walks roles and routes",
    "positive_data_acceptance": "a cursor that no list has given out is refused, and a schema cannot tell",
    "allow_header_conformance": "GET /v1/jobs/batch is a thread named batch, and Allow says so",
}
ENDLESS = "listen_to_events"
"""Its answer goes on while the run does, and Schemathesis would wait for the end; test_events listens to it."""
MODE = "set_mode"
"""It switches off what the other routes do: it has a run of its own."""
WITHIN_S = 240.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on which no wait is long. What was sent broke neither it nor its rows."""
    with serving(tmp_path_factory.mktemp("server"), ORIS_WAIT_MAX_MS="20", ORIS_API_AUTH_BEARER_TOKEN=TOKEN) as running:
        yield running
        assert running.lines("request_failed") == []
        assert running.lines("command_failed") == []
        assert running.stop() == 0
        running.check_rows()


def schemathesis(folder: Path, document: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run of the program, with a fixed seed."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", document, "--seed=1", "--no-color"),
            f"--exclude-checks={','.join(LEFT_OUT)}",
            "--suppress-health-check=all",
            f"--header=Authorization: Bearer {TOKEN}",
            "--generation-with-security-parameters=false",
            *arguments,
        ],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def document_of(server: ServerProcess) -> Any:
    """What the server serves, without the trace header. Schemathesis cannot make one that fits the pattern, and its
    negative cases, each of which is to break one other thing, would all be refused for the header's sake."""
    with server.client() as http:
        document = http.get("/openapi.json").json()
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["parameters"].remove({"$ref": "#/components/parameters/Traceparent"})
    return document


def file_of(document: Any, folder: Path) -> str:
    """The document as a file."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_no_answer_of_the_server_differs_from_its_document(server: ServerProcess, tmp_path: Path) -> None:
    document = document_of(server)
    ran = schemathesis(
        tmp_path,
        file_of(document, tmp_path),
        f"--url={server.url}",
        f"--exclude-operation-id={ENDLESS}",
        f"--exclude-operation-id={MODE}",
        "--phases=coverage,fuzzing,stateful",
        "--max-examples=5",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Tested: {sum(map(len, document['paths'].values())) - 2}" in ran.stdout


def test_no_answer_of_the_switches_differs_either(server: ServerProcess, tmp_path: Path) -> None:
    ran = schemathesis(
        tmp_path,
        file_of(document_of(server), tmp_path),
        f"--url={server.url}",
        f"--include-operation-id={MODE}",
        "--phases=coverage,fuzzing",
        "--max-examples=30",
    )
    with server.client() as http:
        http.headers["authorization"] = f"Bearer {TOKEN}"
        assert http.post("/v1/admin/mode", json={"submit": True, "dispatch": True}).status_code == 200
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Tested: 1" in ran.stdout


def _without_404(operation: dict[str, Any], _: dict[str, Any]) -> None:
    del operation["responses"]["404"]


def _with_other_type(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    schemas[answer.rpartition("/")[2]]["properties"]["request_id"] = {"type": "integer"}


def _with_other_limit(operation: dict[str, Any], _: dict[str, Any]) -> None:
    (limit,) = (one for one in operation["parameters"] if one.get("name") == "limit")
    limit["schema"] |= {"maximum": 100}


def test_a_difference_that_was_planted_is_found(server: ServerProcess, tmp_path: Path) -> None:
    document = document_of(server)
    planted = {"/v1/runs/{run_id}": _without_404, "/v1/jobs": _with_other_type, "/v1/workers": _with_other_limit}
    operations = {path: document["paths"][path]["get"] for path in planted}
    for path, change in planted.items():
        change(operations[path], document["components"]["schemas"])
    ran = schemathesis(
        tmp_path,
        file_of(document, tmp_path),
        f"--url={server.url}",
        *(f"--include-operation-id={operation['operationId']}" for operation in operations.values()),
        "--phases=coverage",
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    for told in ("Undocumented status code", "Response violates schema", "Schema-violating request accepted"):
        assert told in ran.stdout
