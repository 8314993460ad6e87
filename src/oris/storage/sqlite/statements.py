"""Every statement the transactions run. Column order is field order of the structs in `oris.core`.

Rows are read positionally; those of `runtime_jobs` carry their `id` at the end. Events and payloads name their job by
that id instead of its key.
"""

from __future__ import annotations

from oris.storage.sqlite.columns import JOB, JOB_FIELDS, RUN_FIELDS, places, sets

# --- the node's own row: the batch id tells whether a commit happened ---

WRITE_NODE = """
INSERT INTO runtime_nodes (node_id, batch_id, now_ms, calm_ms, skew_ms) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET
    batch_id = excluded.batch_id, now_ms = max(now_ms, excluded.now_ms), calm_ms = max(calm_ms, excluded.calm_ms),
    skew_ms = excluded.skew_ms
"""
TOUCH_NODE = """
INSERT INTO runtime_nodes (node_id, batch_id, now_ms) VALUES (?, '', ?)
ON CONFLICT (node_id) DO UPDATE SET now_ms = max(now_ms, excluded.now_ms)
"""
READ_BATCH = "SELECT batch_id FROM runtime_nodes WHERE node_id = ?"
HIGH_WATER = "SELECT coalesce(max(now_ms), 0) FROM runtime_nodes"
CALM = "SELECT coalesce(max(calm_ms), 0) FROM runtime_nodes"

JOB_ID = "SELECT id FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?"

# --- loading: point lookups, because each is one index probe ---

JOB_BY_KEY = f"""
SELECT {JOB}, id
FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?
"""
JOB_BY_RUN = f"""
SELECT {JOB}, id
FROM runtime_jobs WHERE run_id = ?
"""
JOBS_BY_POLL = f"""
SELECT {JOB}, id
FROM runtime_jobs WHERE worker_key = ? AND poll_id = ? ORDER BY id
"""
QUEUED_OF_THREAD = f"""
SELECT {JOB}, id FROM runtime_jobs WHERE id IN (
    SELECT id FROM (
        SELECT id, status FROM runtime_jobs WHERE thread_id = ? ORDER BY tenant_id LIMIT 10000
    ) WHERE status = 'queued' LIMIT 100
)
"""
LANE_HEADS = f"""
SELECT {JOB}, id
FROM runtime_jobs WHERE status = 'queued' AND tenant_id = ? AND workflow = ?
ORDER BY priority DESC, available_ms, run_id LIMIT ?
"""
# The rows are only loaded of those that are wanted, among many more that are looked at.
LOST_LEAST = f"""
SELECT {JOB}, id FROM runtime_jobs WHERE id IN (
    SELECT id FROM (
        SELECT id, losses, priority, available_ms, run_id
        FROM runtime_jobs WHERE status = 'queued' AND tenant_id = ? AND workflow = ?
        ORDER BY priority DESC, available_ms, run_id LIMIT ?
    ) ORDER BY losses, priority DESC, available_ms, run_id LIMIT ?
) ORDER BY losses, priority DESC, available_ms, run_id
"""
CLOSED_LEASE = """
SELECT lease_id, job_key, worker_key, state, request_hash, answer, closed_ms
FROM runtime_closed_leases
WHERE lease_id = ? AND NOT EXISTS (SELECT 1 FROM runtime_pruned_runs WHERE run_id = 'run_' || substr(lease_id, 5, 32))
"""
IDEMPOTENT = "SELECT key, job_key, run_id, request_hash, created_ms FROM runtime_idempotency WHERE key = ?"
STEPS_OF_ACTION = """
SELECT run_id, action_id, status, dedupe_token, digest, seq, checkpoint_seq, latest
FROM runtime_steps WHERE run_id = ? AND action_id = ?
"""
PENDING_WAITS = """
SELECT wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest
FROM runtime_waits WHERE run_id = ? AND status = 'pending'
"""
WAIT_BY_KEY = """
SELECT wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest
FROM runtime_waits WHERE run_id = ? AND key = ?
"""
WAIT = """
SELECT wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest
FROM runtime_waits
WHERE wait_id = ? AND NOT EXISTS (SELECT 1 FROM runtime_pruned_runs AS p WHERE p.run_id = runtime_waits.run_id)
"""
NEWEST_INTERRUPTS = """
SELECT wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest
FROM runtime_waits INDEXED BY runtime_waits_run
WHERE run_id = ? AND kind = 'interrupt' ORDER BY id DESC LIMIT 100
"""
# For replays: the checkpoint that an event has saved, the sizes of what is handed on, and who has claimed a target.
SAVED_CHECKPOINT = """
SELECT e.run_id, e.payload_digest, coalesce(length(p.body), 0)
FROM runtime_events AS e LEFT JOIN runtime_payloads AS p ON p.job_id = e.job_id AND p.seq = e.seq
WHERE e.job_id = ? AND e.seq = ? AND e.event_type = 'checkpoint_saved'
"""
PAYLOAD_BYTES = "SELECT length(body) FROM runtime_payloads WHERE job_id = ? AND seq = ?"
STEP_BYTES = """
SELECT coalesce(sum(length(p.body)), 0)
FROM runtime_steps AS s JOIN runtime_payloads AS p ON p.job_id = ? AND p.seq = s.seq
WHERE s.run_id = ? AND s.latest = 1 AND s.status = 'succeeded' AND s.seq <= ?
"""
REPLAY_CLAIM = """
SELECT target, job_key, run_id, source_run_id, checkpoint_id, claimed_ms FROM runtime_replay_effects WHERE target = ?
"""
WORKER = """
SELECT worker_key, leased, first_seen_ms, last_seen_ms, session, session_ms, cut_ms, granted_ms, incidents,
       incident_ms, quarantined_until_ms, incident_runs
FROM runtime_workers WHERE worker_key = ?
"""
ANY_HOLD = "SELECT 1 FROM runtime_holds LIMIT 1"
HOLD = """
SELECT tenant_id, workflow, lost, first_ms, changed_ms, again, held_ms, next_ms, probes, probe
FROM runtime_holds WHERE tenant_id = ? AND workflow = ?
"""
# Lease ids begin with their run's digits, and go on with the fence, which rises: the newest losses come first.
LOST_BY = """
SELECT worker_key FROM runtime_closed_leases
WHERE lease_id >= ? AND lease_id < ? AND state IN ('expired', 'superseded') ORDER BY lease_id DESC LIMIT 16
"""
API_KEY = """
SELECT key_id, role, tenant_id, digest, created_ms, expires_ms, revoked_ms, used_ms
FROM runtime_api_keys WHERE key_id = ?
"""
ENDED_SESSION = "SELECT ended_ms FROM runtime_ended_sessions WHERE worker_key = ? AND session = ?"
NODE = "SELECT now_ms FROM runtime_nodes WHERE node_id = ?"
TENANT = "SELECT tenant_id, waiting, leased, served, delayed FROM runtime_tenants WHERE tenant_id = ?"

# --- writing ---

NEXT_JOB_ID = "SELECT coalesce(max(id), 0) + 1 FROM runtime_jobs"
INSERT_JOB = f"""
INSERT INTO runtime_jobs (
    id, {JOB}
) VALUES (?, {places(JOB_FIELDS)})
"""
# A run keeps what its submit said: only what its events change is written, and no index over the rest is touched.
UPDATE_RUN = f"UPDATE runtime_jobs SET {sets(RUN_FIELDS)} WHERE id = ?"
UPDATE_LEASE_END = "UPDATE runtime_jobs SET lease_expires_ms = ?, lease_asked_ms = ? WHERE id = ?"
UPDATE_JOB = f"UPDATE runtime_jobs SET {sets(JOB_FIELDS)} WHERE id = ?"
INSERT_PAST_RUN = f"""
INSERT INTO runtime_runs (
    {JOB}
) VALUES ({places(JOB_FIELDS)})
"""
INSERT_EVENT = """
INSERT INTO runtime_events (
    job_id, seq, event_type, run_id, attempt_no, worker_id, at_ms, data, payload_digest, hash, skew_ms
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_PAYLOAD = "INSERT INTO runtime_payloads (job_id, seq, body) VALUES (?, ?, ?)"
# Of a step that is there already only `latest` ever changes.
WRITE_STEP = """
INSERT INTO runtime_steps (
    run_id, action_id, status, dedupe_token, digest, seq, checkpoint_seq, latest
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, action_id, status, dedupe_token) DO UPDATE SET latest = excluded.latest
"""
INSERT_CLOSED_LEASE = """
INSERT INTO runtime_closed_leases (
    lease_id, job_key, worker_key, state, request_hash, answer, closed_ms
) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
INSERT_IDEMPOTENT = """
INSERT INTO runtime_idempotency (key, job_key, run_id, request_hash, created_ms) VALUES (?, ?, ?, ?, ?)
"""
# Of a dead letter that is there already only what was done about it ever changes.
WRITE_DEAD_LETTER = """
INSERT INTO runtime_dead_letters (
    run_id, job_key, tenant_id, thread_id, workflow, attempt_no, reason, error_seq, dead_ms, replay_status,
    replay_count, replayed_ms, replay_run_id
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id) DO UPDATE SET
    replay_status = excluded.replay_status, replay_count = excluded.replay_count, replayed_ms = excluded.replayed_ms,
    replay_run_id = excluded.replay_run_id
"""
WRITE_CLAIM = """
INSERT INTO runtime_replay_effects (
    target, job_key, run_id, source_run_id, checkpoint_id, claimed_ms
) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (target) DO UPDATE SET run_id = excluded.run_id, checkpoint_id = excluded.checkpoint_id,
    claimed_ms = excluded.claimed_ms
"""
# Of a wait that is there already only how it was settled ever changes.
WRITE_WAIT = """
INSERT INTO runtime_waits (
    wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
    value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (wait_id) DO UPDATE SET
    status = excluded.status, settled_ms = excluded.settled_ms, settled_by = excluded.settled_by,
    settled_seq = excluded.settled_seq, settled_digest = excluded.settled_digest
"""
WRITE_WORKER = """
INSERT INTO runtime_workers (
    worker_key, leased, first_seen_ms, last_seen_ms, session, session_ms, cut_ms, granted_ms, incidents,
    incident_ms, quarantined_until_ms, incident_runs
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (worker_key) DO UPDATE SET
    leased = excluded.leased, last_seen_ms = excluded.last_seen_ms, session = excluded.session,
    session_ms = excluded.session_ms, cut_ms = excluded.cut_ms, granted_ms = excluded.granted_ms,
    incidents = excluded.incidents, incident_ms = excluded.incident_ms,
    quarantined_until_ms = excluded.quarantined_until_ms, incident_runs = excluded.incident_runs
"""
WRITE_HOLD = """
INSERT INTO runtime_holds (
    tenant_id, workflow, lost, first_ms, changed_ms, again, held_ms, next_ms, probes, probe
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, workflow) DO UPDATE SET
    lost = excluded.lost, first_ms = excluded.first_ms, changed_ms = excluded.changed_ms, again = excluded.again,
    held_ms = excluded.held_ms, next_ms = excluded.next_ms, probes = excluded.probes, probe = excluded.probe
"""
DELETE_HOLD = "DELETE FROM runtime_holds WHERE tenant_id = ? AND workflow = ?"
DELETE_OLD_HOLDS = "DELETE FROM runtime_holds WHERE held_ms = 0 AND changed_ms < ?"
INSERT_ENDED_SESSION = "INSERT INTO runtime_ended_sessions (worker_key, session, ended_ms) VALUES (?, ?, ?)"
WRITE_TENANT = """
INSERT INTO runtime_tenants (tenant_id, waiting, leased, served, delayed) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant_id) DO UPDATE SET
    waiting = excluded.waiting, leased = excluded.leased, served = excluded.served, delayed = excluded.delayed
"""
# Of a key that is there already only its end and its last use ever change.
WRITE_API_KEY = """
INSERT INTO runtime_api_keys (
    key_id, role, tenant_id, digest, created_ms, expires_ms, revoked_ms, used_ms
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key_id) DO UPDATE SET revoked_ms = excluded.revoked_ms, used_ms = excluded.used_ms
"""
WRITE_MODE = """
INSERT INTO runtime_modes (node_id, submit, dispatch, reason, set_by, set_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET
    submit = excluded.submit, dispatch = excluded.dispatch, reason = excluded.reason, set_by = excluded.set_by,
    set_ms = excluded.set_ms
"""
INSERT_AUDIT = """
INSERT INTO runtime_audit_log (
    audit_id, chain_id, seq, actor_type, actor_id, actor_role, tenant_id, source, action, resource_type,
    resource_id, result, request_id, details, created_ms, hash
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

# --- handouts, read after the writes ---

# With each payload goes the digest that its event has of it.
PAYLOAD = """
SELECT p.body, e.payload_digest
FROM runtime_payloads AS p LEFT JOIN runtime_events AS e ON e.job_id = p.job_id AND e.seq = p.seq
WHERE p.job_id = ? AND p.seq = ?
"""
SETTLED_WAITS = """
SELECT settled_ms, id, wait_id, kind, key, status, value_seq, value_index, settled_seq
FROM runtime_waits INDEXED BY runtime_waits_run
WHERE run_id = ? AND status NOT IN ('pending', 'dropped') ORDER BY id DESC LIMIT ?
"""
LATEST_STEPS = """
SELECT s.action_id, s.status, s.seq, p.body, e.payload_digest
FROM runtime_steps AS s LEFT JOIN runtime_payloads AS p ON p.job_id = ? AND p.seq = s.seq
     LEFT JOIN runtime_events AS e ON e.job_id = p.job_id AND e.seq = p.seq
WHERE s.run_id = ? AND s.latest = 1 AND s.seq > ?
ORDER BY s.seq LIMIT ?
"""
# What a replay takes over of a run that it goes on from.
SUCCEEDED_STEPS = """
SELECT s.action_id, s.status, s.seq, p.body, e.payload_digest
FROM runtime_steps AS s LEFT JOIN runtime_payloads AS p ON p.job_id = ? AND p.seq = s.seq
     LEFT JOIN runtime_events AS e ON e.job_id = p.job_id AND e.seq = p.seq
WHERE s.run_id = ? AND s.latest = 1 AND s.status = 'succeeded' AND s.seq > ? AND s.seq <= ?
ORDER BY s.seq LIMIT ?
"""
