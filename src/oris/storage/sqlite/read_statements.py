"""The statements of the reads beside the commits; those of lists are in `list_statements`."""

from __future__ import annotations

from oris.storage.sqlite import columns as c

TENANTS_OF_THREAD = """
SELECT tenant_id FROM runtime_jobs WHERE thread_id = ? AND pruned_seq < seq ORDER BY tenant_id LIMIT 2
"""
PAST_RUN = f"""
SELECT {c.JOB}, id
FROM runtime_runs WHERE run_id = ?
"""
TIMELINE = f"""
SELECT {c.EVENT}
FROM runtime_events WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?
"""
RETRIES = f"""
SELECT {c.EVENT}
FROM runtime_events WHERE run_id = ? AND event_type = 'retry_scheduled' AND seq > ? ORDER BY seq LIMIT ?
"""
JOB_KEY_OF_RUN = """
SELECT job_key FROM runtime_jobs WHERE run_id = :run_id AND pruned_seq < seq
UNION ALL SELECT job_key FROM runtime_runs WHERE run_id = :run_id
LIMIT 1
"""
DEAD_LETTER = f"SELECT {c.DEAD_LETTER} FROM runtime_dead_letters WHERE run_id = ?"
STORED_KEYS = f"""
SELECT {c.API_KEY} FROM runtime_api_keys INDEXED BY runtime_api_keys_standing
WHERE revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?) ORDER BY id
"""
ANY_KEY_EVER = "SELECT 1 FROM runtime_api_keys LIMIT 1"
NEWEST_CHAINS = "SELECT chain_id FROM runtime_audit_log WHERE seq = 1 ORDER BY created_ms DESC, id DESC LIMIT 100"
CHAIN_END = f"SELECT {c.AUDIT_HEAD} FROM runtime_audit_log WHERE chain_id = ? ORDER BY seq DESC LIMIT 1"
# Of a worker that holds more, the rest is looked at once these have ended.
LEASES_OF_WORKER = f"SELECT {c.JOB}, id FROM runtime_jobs WHERE worker_key = ? LIMIT 1000"
DUE = """
SELECT job_key FROM runtime_jobs WHERE wake_ms IS NOT NULL AND wake_ms <= ? ORDER BY wake_ms, id LIMIT ?
"""
# The words are the index's own: without them it does not serve.
DUE_BY_DATE = """
SELECT job_key FROM runtime_jobs
WHERE due_ms IS NOT NULL AND status IN ('scheduled', 'suspended', 'interrupted') AND due_ms <= ?
ORDER BY due_ms, id LIMIT ?
"""
# A lease is over when its session has been replaced, or cut off, since; see `core.lease`.
DEAD_LEASES_OF_WORKER = """
SELECT j.job_key FROM runtime_workers AS w JOIN runtime_jobs AS j ON j.worker_key = w.worker_key
WHERE w.worker_key = ? AND j.lease_session IS NOT NULL
  AND (j.lease_session IS NOT w.session OR j.lease_granted_ms < w.cut_ms)
LIMIT ?
"""
DEAD_LEASES = """
SELECT j.job_key FROM runtime_jobs AS j JOIN runtime_workers AS w ON w.worker_key = j.worker_key
WHERE j.worker_key IS NOT NULL AND j.lease_session IS NOT NULL
  AND (j.lease_session IS NOT w.session OR j.lease_granted_ms < w.cut_ms)
LIMIT ?
"""
LEASED = """
SELECT id, job_key FROM runtime_jobs INDEXED BY runtime_jobs_leased
WHERE worker_key IS NOT NULL AND lease_expires_ms < ? AND id > ? ORDER BY id LIMIT ?
"""
EARLIEST_WAKE = "SELECT wake_ms FROM runtime_jobs WHERE wake_ms IS NOT NULL ORDER BY wake_ms LIMIT 1"
EARLIEST_DATE = """
SELECT due_ms FROM runtime_jobs
WHERE due_ms IS NOT NULL AND status IN ('scheduled', 'suspended', 'interrupted') ORDER BY due_ms LIMIT 1
"""
# Two probes a lane, however much stands in it: a comparison of both columns at once would walk the whole lane before.
NEXT_LANE_OF_TENANT = """
SELECT tenant_id, workflow FROM runtime_jobs INDEXED BY runtime_jobs_dispatch
WHERE status = 'queued' AND tenant_id = ? AND workflow > ? ORDER BY workflow LIMIT 1
"""
FIRST_LANE_AFTER_TENANT = """
SELECT tenant_id, workflow FROM runtime_jobs INDEXED BY runtime_jobs_dispatch
WHERE status = 'queued' AND tenant_id > ? ORDER BY tenant_id, workflow LIMIT 1
"""
FIRST_LANE = """
SELECT tenant_id, workflow FROM runtime_jobs INDEXED BY runtime_jobs_dispatch
WHERE status = 'queued' ORDER BY tenant_id, workflow LIMIT 1
"""
OLDEST_BELOW_PRIORITY = """
SELECT priority, available_ms FROM runtime_jobs
WHERE status = 'queued' AND tenant_id = ? AND workflow = ? AND priority < ?
ORDER BY priority DESC, available_ms LIMIT 1
"""
HOLDS_TOTAL = "SELECT count(*) FROM runtime_holds INDEXED BY runtime_holds_held WHERE held_ms > 0"
# A row per node.
MODES = f"SELECT {c.names(c.MODES.fields)} FROM runtime_modes ORDER BY node LIMIT 1000"
NODES = "SELECT name, max(now_ms + skew_ms) FROM runtime_nodes GROUP BY name ORDER BY name LIMIT 100"
PENDING_INTERRUPTS = """
SELECT count(*) FROM runtime_waits INDEXED BY runtime_waits_open WHERE kind = 'interrupt' AND status = 'pending'
"""
DEAD_LETTERS_TOTAL = "SELECT total FROM runtime_totals WHERE name = 'dead_letters'"
