"""A database that was written while the clock was far ahead, opened by a server whose clock is right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .server_process import data_of, metric, serving, until

DAY_MS = 86_400_000


def move_the_mark(database: Path, by_ms: int) -> None:
    """As if the last commit had been made by a clock that was so far ahead."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE runtime_nodes SET now_ms = now_ms + ?, calm_ms = calm_ms + ?", (by_ms, by_ms))
        connection.commit()


def test_dates_go_by_the_right_clock_and_the_wrong_mark_is_told_of(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        data_of(http.post("/v1/jobs", json={"thread_id": "before"}))
        assert server.stop() == 0
    move_the_mark(server.database, 400 * DAY_MS)
    with serving(tmp_path) as server, server.client() as http:
        soon = datetime.now(UTC) + timedelta(hours=1)
        dated = {"thread_id": "dated", "run_at": soon.isoformat().replace("+00:00", "Z")}
        assert data_of(http.post("/v1/jobs", json=dated))["status"] == "scheduled"
        data_of(http.post("/v1/jobs", json={"thread_id": "delayed", "delay_ms": 300}))
        asked = {"worker_id": "w", "limit": 1, "wait_ms": 20_000}
        taken = [data_of(http.post("/v1/workers/poll", json=asked))["attempts"][0] for _ in range(2)]
        assert [attempt["thread_id"] for attempt in taken] == ["before", "delayed"]
        now = datetime.now(UTC)
        for attempt in taken:
            assert abs(datetime.fromisoformat(attempt["lease_expires_at"]) - now) < timedelta(minutes=1)
            assert 0 < attempt["lease_remaining_ms"] <= 30_000
        shown = data_of(http.get("/v1/jobs/delayed"))
        assert abs(datetime.fromisoformat(shown["created_at"]) - now) < timedelta(minutes=1)
        assert data_of(http.get("/v1/jobs/dated/explain"))["reason"] == "delayed"
        (told,) = until(lambda: server.lines("clock_skewed"), "the log tells of the clocks")
        assert abs(told["skew_ms"] + 400 * DAY_MS) < 60_000
        skewed_s = metric(http.get("/metrics").text, "oris_runtime_clock_skew_seconds")
        assert abs(skewed_s + 400 * 86_400) < 60
        assert abs(data_of(http.get("/v1/admin/status"))["clock_skew_ms"] + 400 * DAY_MS) < 60_000
        assert data_of(http.get("/v1/jobs/delayed/verify"))["valid"]
        assert server.stop() == 0
        server.check_rows()
