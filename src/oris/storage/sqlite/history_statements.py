"""Every statement that reads what a thread has been through, written out; the same rules as in `statements`."""

from __future__ import annotations

from oris.storage.sqlite import columns as c

PRUNED_SEQ = "SELECT id, pruned_seq FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?"
TOLD = f"""
SELECT {c.names(c.EVENTS.fields, "e")}, p.body
FROM runtime_events AS e LEFT JOIN runtime_payloads AS p ON p.job_id = e.job_id AND p.seq = e.seq
WHERE e.job_id = ? AND e.seq > ?
ORDER BY e.seq LIMIT ?
"""
STEP_COUNTS = """
SELECT coalesce(sum(status = 'succeeded'), 0), count(*) FROM runtime_steps WHERE run_id = ? AND latest = 1
"""
