"""nginx before the server, with connections kept upstream as its manual shows it: no request meets a closed one."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import trio

from ..e2e.server_process import ServerProcess, clean_environment, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
KEPT = 32
"""Idle connections to the server, of each worker process."""
PROXIES = 5
"""Proxies that wait side by side, so that the test takes less time."""
GAPS_S = (4.9, 4.98, 4.99, 5.0, 5.1)
"""Between the six bursts of each proxy."""
SPREAD_S = 0.0007
"""Between the requests of a burst: some of them meet every moment around the 5 s that servers often keep."""

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream oris {{ server {host}:{port}; keepalive {kept}; }}
  server {{
    listen 127.0.0.1:{listen};
    location / {{
      proxy_pass http://oris;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host localhost;
    }}
  }}
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def proxying(folder: Path, address: tuple[str, int]) -> Iterator[str]:
    """An nginx before the server; its address."""
    folder.mkdir()
    host, port = address
    listen = free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIGURATION.format(folder=folder, host=host, port=port, kept=KEPT, listen=listen))
    arguments = [str(NGINX), "-p", str(folder), "-c", str(config), "-e", str(folder / "start.log")]
    process = subprocess.Popen(arguments, env=clean_environment(), stdin=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or is_listening(listen), "nginx listens")
        assert process.poll() is None, (folder / "start.log").read_text()
        yield f"http://127.0.0.1:{listen}"
    finally:
        process.terminate()
        process.wait()


def is_listening(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def bursts(url: str, statuses: list[int]) -> None:
    """As many requests at once as connections are kept, again and again."""

    async def poll(http: httpx.AsyncClient, number: int) -> None:
        await trio.sleep(number * SPREAD_S)
        # A POST: nginx itself tries no such request again.
        response = await http.post("/v1/workers/poll", json={"worker_id": "w"})
        statuses.append(response.status_code)

    kept = httpx.Limits(max_connections=KEPT, max_keepalive_connections=KEPT, keepalive_expiry=60)
    async with httpx.AsyncClient(base_url=url, limits=kept, timeout=30) as http:
        for gap_s in (0.0, *GAPS_S):
            await trio.sleep(gap_s)
            async with trio.open_nursery() as nursery:
                for number in range(KEPT):
                    nursery.start_soon(poll, http, number)


async def test_no_request_of_a_burst_is_lost_with_an_idle_connection(server: ServerProcess, tmp_path: Path) -> None:
    statuses: list[int] = []
    with ExitStack() as proxies:
        urls = [
            proxies.enter_context(proxying(tmp_path / f"nginx{number}", server.address)) for number in range(PROXIES)
        ]
        async with trio.open_nursery() as nursery:
            for url in urls:
                nursery.start_soon(bursts, url, statuses)
    assert Counter(statuses) == {200: 960}
