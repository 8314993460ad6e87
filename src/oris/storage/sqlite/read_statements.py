"""Every statement of the reads beside the commits, written out; the same rules as in `statements`.

Lists walk at most a bounded number of rows, newest first: `…_WALK_END` finds where that walk ends.
"""

from __future__ import annotations

from oris.storage.sqlite.columns import JOB

TENANTS_OF_THREAD = """
SELECT tenant_id FROM runtime_jobs WHERE thread_id = ? AND pruned_seq < seq ORDER BY tenant_id LIMIT 2
"""
PAST_RUN = f"""
SELECT {JOB}, id
FROM runtime_runs WHERE run_id = ?
"""
PAST_RUNS = f"""
SELECT {JOB}, id
FROM runtime_runs WHERE job_key = ? AND id < ? ORDER BY id DESC LIMIT ?
"""
JOBS_PAGE = f"""
SELECT {JOB}, id
FROM runtime_jobs
WHERE id < :before AND id >= :walk_end AND pruned_seq < seq
  AND (:status IS NULL OR status = :status) AND (:workflow IS NULL OR workflow = :workflow)
ORDER BY id DESC LIMIT :limit
"""
JOBS_WALK_END = "SELECT id FROM runtime_jobs WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk"
JOBS_OF_TENANT_PAGE = f"""
SELECT {JOB}, id
FROM runtime_jobs INDEXED BY runtime_jobs_tenant
WHERE tenant_id = :tenant_id AND id < :before AND id >= :walk_end AND pruned_seq < seq
  AND (:status IS NULL OR status = :status) AND (:workflow IS NULL OR workflow = :workflow)
ORDER BY id DESC LIMIT :limit
"""
JOBS_OF_TENANT_WALK_END = """
SELECT id FROM runtime_jobs INDEXED BY runtime_jobs_tenant
WHERE tenant_id = :tenant_id AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk
"""
TIMELINE = """
SELECT seq, event_type, run_id, attempt_no, worker_id, at_ms, data, payload_digest, hash, skew_ms
FROM runtime_events WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?
"""
RETRIES = """
SELECT seq, event_type, run_id, attempt_no, worker_id, at_ms, data, payload_digest, hash, skew_ms
FROM runtime_events WHERE run_id = ? AND event_type = 'retry_scheduled' AND seq > ? ORDER BY seq LIMIT ?
"""
JOB_KEY_OF_RUN = """
SELECT job_key FROM runtime_jobs WHERE run_id = :run_id AND pruned_seq < seq
UNION ALL SELECT job_key FROM runtime_runs WHERE run_id = :run_id
LIMIT 1
"""
DEAD_LETTER = """
SELECT run_id, job_key, tenant_id, thread_id, workflow, attempt_no, reason, error_seq, dead_ms, replay_status,
       replay_count, replayed_ms, replay_run_id
FROM runtime_dead_letters WHERE run_id = ?
"""
DEAD_LETTERS_PAGE = """
SELECT run_id, job_key, tenant_id, thread_id, workflow, attempt_no, reason, error_seq, dead_ms, replay_status,
       replay_count, replayed_ms, replay_run_id, id
FROM runtime_dead_letters
WHERE id < :before AND id >= :walk_end AND (:status IS NULL OR replay_status = :status) ORDER BY id DESC LIMIT :limit
"""
DEAD_LETTERS_WALK_END = "SELECT id FROM runtime_dead_letters WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk"
PENDING_DEAD_LETTERS_PAGE = """
SELECT run_id, job_key, tenant_id, thread_id, workflow, attempt_no, reason, error_seq, dead_ms, replay_status,
       replay_count, replayed_ms, replay_run_id, id
FROM runtime_dead_letters INDEXED BY runtime_dead_letters_pending
WHERE replay_status = 'pending' AND id < :before AND id >= :walk_end
  AND (:tenant_id IS NULL OR tenant_id = :tenant_id) AND (:workflow IS NULL OR workflow = :workflow)
ORDER BY id DESC LIMIT :limit
"""
PENDING_DEAD_LETTERS_WALK_END = """
SELECT id FROM runtime_dead_letters INDEXED BY runtime_dead_letters_pending
WHERE replay_status = 'pending' AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk
"""
DEAD_LETTERS_OF_TENANT_PAGE = """
SELECT run_id, job_key, tenant_id, thread_id, workflow, attempt_no, reason, error_seq, dead_ms, replay_status,
       replay_count, replayed_ms, replay_run_id, id
FROM runtime_dead_letters INDEXED BY runtime_dead_letters_tenant
WHERE tenant_id = :tenant_id AND id < :before AND id >= :walk_end AND (:workflow IS NULL OR workflow = :workflow)
  AND (:status IS NULL OR replay_status = :status)
ORDER BY id DESC LIMIT :limit
"""
DEAD_LETTERS_OF_TENANT_WALK_END = """
SELECT id FROM runtime_dead_letters INDEXED BY runtime_dead_letters_tenant
WHERE tenant_id = :tenant_id AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk
"""
DEAD_LETTERS_OF_WORKFLOW_PAGE = """
SELECT run_id, job_key, tenant_id, thread_id, workflow, attempt_no, reason, error_seq, dead_ms, replay_status,
       replay_count, replayed_ms, replay_run_id, id
FROM runtime_dead_letters INDEXED BY runtime_dead_letters_workflow
WHERE workflow = :workflow AND id < :before AND id >= :walk_end AND (:status IS NULL OR replay_status = :status)
ORDER BY id DESC LIMIT :limit
"""
DEAD_LETTERS_OF_WORKFLOW_WALK_END = """
SELECT id FROM runtime_dead_letters INDEXED BY runtime_dead_letters_workflow
WHERE workflow = :workflow AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk
"""
INTERRUPTS_PAGE = """
SELECT wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest, id
FROM runtime_waits
WHERE kind = 'interrupt' AND id < :before AND id >= :walk_end
  AND (:status IS NULL OR status = :status) AND (:tenant_id IS NULL OR tenant_id = :tenant_id)
  AND (:run_id IS NULL OR run_id = :run_id) AND (:thread_id IS NULL OR thread_id = :thread_id)
  AND (:workflow IS NULL OR workflow = :workflow)
  AND NOT EXISTS (SELECT 1 FROM runtime_pruned_runs AS p WHERE p.run_id = runtime_waits.run_id)
ORDER BY id DESC LIMIT :limit
"""
INTERRUPTS_WALK_END = """
SELECT id FROM runtime_waits WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk
"""
OPEN_INTERRUPTS_PAGE = """
SELECT wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest, id
FROM runtime_waits INDEXED BY runtime_waits_open
WHERE kind = 'interrupt' AND status = 'pending' AND id < :before AND id >= :walk_end
  AND (:tenant_id IS NULL OR tenant_id = :tenant_id) AND (:run_id IS NULL OR run_id = :run_id)
  AND (:thread_id IS NULL OR thread_id = :thread_id) AND (:workflow IS NULL OR workflow = :workflow)
ORDER BY id DESC LIMIT :limit
"""
OPEN_INTERRUPTS_WALK_END = """
SELECT id FROM runtime_waits INDEXED BY runtime_waits_open
WHERE kind = 'interrupt' AND status = 'pending' AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk
"""
INTERRUPTS_OF_RUN_PAGE = """
SELECT wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest, id
FROM runtime_waits INDEXED BY runtime_waits_run
WHERE run_id = :run_id AND kind = 'interrupt' AND id < :before AND id >= :walk_end
  AND (:status IS NULL OR status = :status) AND (:tenant_id IS NULL OR tenant_id = :tenant_id)
  AND (:thread_id IS NULL OR thread_id = :thread_id) AND (:workflow IS NULL OR workflow = :workflow)
  AND NOT EXISTS (SELECT 1 FROM runtime_pruned_runs AS p WHERE p.run_id = runtime_waits.run_id)
ORDER BY id DESC LIMIT :limit
"""
# The trail is ordered by time, which rises with the id: the index holds both.
WORKERS_PAGE = """
SELECT worker_key, leased, first_seen_ms, last_seen_ms, session, session_ms, cut_ms, granted_ms, incidents,
       incident_ms, quarantined_until_ms, incident_runs
FROM runtime_workers
WHERE (first_seen_ms, worker_key) < (:before_ms, :before)
  AND (:tenant_id IS NULL OR (worker_key >= :tenant_id || '/' AND worker_key < :tenant_id || '0'))
ORDER BY first_seen_ms DESC, worker_key DESC LIMIT :limit
"""
API_KEYS_PAGE = """
SELECT key_id, role, tenant_id, digest, created_ms, expires_ms, revoked_ms, used_ms, id
FROM runtime_api_keys
WHERE id < :before AND id >= :walk_end AND (:tenant_id IS NULL OR tenant_id = :tenant_id)
ORDER BY id DESC LIMIT :limit
"""
API_KEYS_WALK_END = "SELECT id FROM runtime_api_keys WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :walk"
STORED_KEYS = """
SELECT key_id, role, tenant_id, digest, created_ms, expires_ms, revoked_ms, used_ms
FROM runtime_api_keys INDEXED BY runtime_api_keys_standing
WHERE revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?) ORDER BY id
"""
ANY_KEY_EVER = "SELECT 1 FROM runtime_api_keys LIMIT 1"
AUDIT_PAGE = """
SELECT audit_id, chain_id, seq, actor_type, actor_id, actor_role, tenant_id, source, action, resource_type,
       resource_id, result, request_id, details, created_ms, hash, id
FROM runtime_audit_log INDEXED BY runtime_audit_log_created
WHERE (created_ms, id) < (:before_ms, :before) AND created_ms >= :from_ms
  AND (created_ms, id) >= (:walk_end_ms, :walk_end)
  AND (:tenant_id IS NULL OR tenant_id = :tenant_id) AND (:action IS NULL OR action = :action)
  AND (:actor_id IS NULL OR actor_id = :actor_id) AND (NOT :control_only OR action <> 'chain.open')
ORDER BY created_ms DESC, id DESC LIMIT :limit
"""
AUDIT_WALK_END = """
SELECT created_ms, id FROM runtime_audit_log INDEXED BY runtime_audit_log_created
WHERE (created_ms, id) < (:before_ms, :before) AND created_ms >= :from_ms
ORDER BY created_ms DESC, id DESC LIMIT 1 OFFSET :walk
"""
AUDIT_OF_REQUEST_PAGE = """
SELECT audit_id, chain_id, seq, actor_type, actor_id, actor_role, tenant_id, source, action, resource_type,
       resource_id, result, request_id, details, created_ms, hash, id
FROM runtime_audit_log INDEXED BY runtime_audit_log_request
WHERE request_id = :request_id AND (created_ms, id) < (:before_ms, :before) AND created_ms >= :from_ms
  AND (:tenant_id IS NULL OR tenant_id = :tenant_id) AND (:action IS NULL OR action = :action)
  AND (:actor_id IS NULL OR actor_id = :actor_id) AND (NOT :control_only OR action <> 'chain.open')
ORDER BY created_ms DESC, id DESC LIMIT :limit
"""
NEWEST_CHAINS = "SELECT chain_id FROM runtime_audit_log WHERE seq = 1 ORDER BY created_ms DESC, id DESC LIMIT 100"
CHAIN_END = "SELECT chain_id, seq, hash FROM runtime_audit_log WHERE chain_id = ? ORDER BY seq DESC LIMIT 1"
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
MODES = "SELECT node_id, submit, dispatch, reason, set_by, set_ms FROM runtime_modes ORDER BY node_id LIMIT 1000"
CURSOR_SECRET = "SELECT secret FROM runtime_secrets WHERE name = 'cursors'"
NODES = "SELECT node_id, now_ms + skew_ms FROM runtime_nodes ORDER BY node_id LIMIT 100"
# One short row per tenant: the only table that is summed.
PENDING_INTERRUPTS = """
SELECT count(*) FROM runtime_waits INDEXED BY runtime_waits_open WHERE kind = 'interrupt' AND status = 'pending'
"""
COUNTERS = """
SELECT coalesce(sum(waiting), 0), coalesce(sum(leased), 0), coalesce(sum(delayed), 0) FROM runtime_tenants
"""
DEAD_LETTERS_TOTAL = "SELECT total FROM runtime_totals WHERE name = 'dead_letters'"
