"""All timelines of a server, checked over HTTP as an auditor would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from ..auditor import check_export
from .server_process import data_of


def check_timelines(http: httpx.Client) -> int:
    """`verify` finds each in order, and its export comes to the same head by itself. How many there are."""
    count = 0
    for job in _threads(http):
        path, query = f"/v1/jobs/{job['thread_id']}", {"tenant_id": job["tenant_id"]}
        exported = http.get(f"{path}/timeline/export", params=query | {"payloads": "true"})
        assert exported.status_code == 200, exported.text
        checked = check_export(exported.content)
        verified = data_of(http.get(f"{path}/verify", params=query))
        assert verified["valid"], (job, verified)
        # Whatever runs still may add to it; what is over cannot.
        over = job["status"] in ("completed", "failed", "cancelled")
        assert not over or (verified["events"], verified["head_hash"]) == (checked["events"], checked["head_hash"])
        count += 1
    return count


def _threads(http: httpx.Client) -> Iterator[dict[str, Any]]:
    more: dict[str, Any] = {}
    while True:
        page = data_of(http.get("/v1/jobs", params={"limit": 200} | more))
        yield from page["jobs"]
        if page["next_cursor"] is None:
            return
        more = {"cursor": page["next_cursor"]}
