"""Found in the review of issue 3: this fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from oris.storage.sqlite import read_statements as sql

MIGRATIONS = Path(__file__).parents[2] / "migrations" / "sqlite"


def test_live_leases_are_found_without_a_walk_through_every_thread_there_ever_was() -> None:
    connection = sqlite3.connect(":memory:")
    for script in sorted(MIGRATIONS.glob("*.sql")):
        connection.executescript(script.read_text())
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql.LEASED, (1, 0, 500))]
    connection.close()
    assert any("runtime_jobs_" in line for line in plan), plan
