"""curl, with the options that change how it writes requests."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import count
from typing import Any

import pytest

from ..e2e.server_process import ServerProcess

CURL = shutil.which("curl")
NUMBERS = count(1)

pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")

WAYS: dict[str, list[str]] = {
    "plainly": [],
    "over HTTP/1.0": ["--http1.0"],
    "with an offer of HTTP/2": ["--http2"],
    "in chunks": ["-H", "transfer-encoding: chunked"],
    "with compression": ["--compressed"],
    "as to a proxy": ["--proxy"],
    "with a body that it asks for first": ["-H", "expect: 100-continue"],
    "over a connection that it closes": ["-H", "connection: close"],
}

OF_BODIES = ("in chunks", "with a body that it asks for first")


def curl(server: ServerProcess, way: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The data of one answer."""
    options = [] if way in OF_BODIES and body is None else WAYS[way]
    if options == ["--proxy"]:
        options = ["--proxy", server.url, "--noproxy", ""]
    sent = [] if body is None else ["-H", "content-type: application/json", "--data-binary", "@-"]
    command = [str(CURL), "-sS", "--max-time", "30", *options, *sent, server.url + path]
    content = None if body is None else json.dumps(body).encode()
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    return json.loads(done.stdout)["data"]


def speaks_http_2() -> bool:
    """Whether this curl was built with it."""
    return "HTTP2" in subprocess.run([str(CURL), "--version"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_job_is_done_with_curl(server: ServerProcess, way: str) -> None:
    if "--http2" in WAYS[way] and not speaks_http_2():
        pytest.skip("this curl was built without HTTP/2")
    name = f"curl{next(NUMBERS)}"
    large = "x" * 1_048_570  # beyond a megabyte curl asks before it sends a body
    curl(server, way, "/v1/jobs/run", {"thread_id": name, "workflow": name, "input": large, "metadata": {"a": "b"}})
    polled = curl(server, way, "/v1/workers/poll", {"worker_id": name, "workflows": [name]})
    assert polled["attempts"][0]["input"] == large
    held = {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}
    acked = curl(server, way, f"/v1/workers/{name}/ack", {**held, "terminal_status": "completed", "result": {"a": 1}})
    assert acked["status"] == "completed"
    assert curl(server, way, f"/v1/jobs/{name}/result")["result"] == {"a": 1}
