"""Every statement that reads what a thread has been through, written out; the same rules as in `statements`."""

from __future__ import annotations

PRUNED_SEQ = "SELECT id, pruned_seq FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?"
TOLD = """
SELECT e.seq, e.event_type, e.run_id, e.attempt_no, e.worker_id, e.at_ms, e.data, e.payload_digest, e.hash, e.skew_ms,
       p.body
FROM runtime_events AS e LEFT JOIN runtime_payloads AS p ON p.job_id = e.job_id AND p.seq = e.seq
WHERE e.job_id = ? AND e.seq > ?
ORDER BY e.seq LIMIT ?
"""
CHECKPOINTS_PAGE = """
SELECT seq, run_id, at_ms FROM runtime_events INDEXED BY runtime_events_checkpoints
WHERE job_id = (SELECT id FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?)
  AND event_type = 'checkpoint_saved' AND seq < ?
  AND seq > (SELECT pruned_seq FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?)
ORDER BY seq DESC LIMIT ?
"""
STEP_COUNTS = """
SELECT coalesce(sum(status = 'succeeded'), 0), count(*) FROM runtime_steps WHERE run_id = ? AND latest = 1
"""
