"""Every statement of retention, written out; the same rules as in `statements`."""

from __future__ import annotations

from oris.storage.sqlite.columns import JOB

# --- what may go: walks over what is old, oldest first; a number of rows at a time, and what each is ---

OLD_PAST_RUNS = """
SELECT r.updated_ms, r.id, r.job_key,
       NOT EXISTS (SELECT 1 FROM runtime_runs AS o WHERE o.job_key = r.job_key AND o.id < r.id)
       AND NOT EXISTS (
           SELECT 1 FROM runtime_dead_letters AS d WHERE d.run_id = r.run_id AND d.replay_status = 'pending'
       )
FROM runtime_runs AS r INDEXED BY runtime_runs_over
WHERE (r.updated_ms, r.id) > (?, ?) AND r.updated_ms < ? ORDER BY r.updated_ms, r.id LIMIT ?
"""
OLD_JOBS = """
SELECT j.updated_ms, j.id, j.job_key,
       NOT EXISTS (SELECT 1 FROM runtime_runs AS o WHERE o.job_key = j.job_key)
       AND NOT EXISTS (
           SELECT 1 FROM runtime_dead_letters AS d WHERE d.run_id = j.run_id AND d.replay_status = 'pending'
       )
FROM runtime_jobs AS j INDEXED BY runtime_jobs_over
WHERE j.status IN ('completed', 'failed', 'cancelled') AND j.pruned_seq < j.seq
  AND (j.updated_ms, j.id) > (?, ?) AND j.updated_ms < ?
ORDER BY j.updated_ms, j.id LIMIT ?
"""
OLD_WORKERS = """
SELECT first_seen_ms, worker_key, leased = 0 AND last_seen_ms < :before_ms
FROM runtime_workers
WHERE (first_seen_ms, worker_key) > (:after_ms, :after) AND first_seen_ms < :before_ms
ORDER BY first_seen_ms, worker_key LIMIT :limit
"""
OLD_SESSIONS = """
SELECT worker_key, session FROM runtime_ended_sessions INDEXED BY runtime_ended_sessions_ended
WHERE ended_ms < ? ORDER BY ended_ms LIMIT ?
"""
# A row per node; those that are to be found are few after the first pass.
OLD_NODES = """
SELECT node_id FROM runtime_nodes
WHERE now_ms < ? AND NOT EXISTS (SELECT 1 FROM runtime_modes AS m WHERE m.node_id = runtime_nodes.node_id)
LIMIT ?
"""
NEXT_CHAIN = "SELECT chain_id FROM runtime_audit_log WHERE chain_id > ? ORDER BY chain_id LIMIT 1"
OLDEST_RECORDS = """
SELECT audit_id, chain_id, seq, actor_type, actor_id, actor_role, tenant_id, source, action, resource_type,
       resource_id, result, request_id, details, created_ms, hash
FROM runtime_audit_log WHERE chain_id = ? ORDER BY seq LIMIT ?
"""
PRUNED_RUNS = (
    "SELECT run_id, job_key, seq, pruned_ms FROM runtime_pruned_runs WHERE run_id > '' ORDER BY run_id LIMIT ?"
)

# --- the facts of retention ---

OLDEST_PAST_RUNS = f"""
SELECT {JOB}, id
FROM runtime_runs WHERE job_key = ? ORDER BY id LIMIT ?
"""
IS_DEAD = "SELECT 1 FROM runtime_dead_letters WHERE run_id = ? AND replay_status = 'pending'"
NEWEST_REPLAY = """
SELECT seq FROM runtime_runs INDEXED BY runtime_runs_replays WHERE replay_of = ? ORDER BY id DESC LIMIT 1
"""
PRUNED_RUN = "SELECT run_id, job_key, seq, pruned_ms FROM runtime_pruned_runs WHERE run_id = ?"
AUDIT_PLACE = "SELECT chain_id, seq, hash FROM runtime_audit_log WHERE chain_id = ? AND seq = ?"
ANCHOR = "SELECT chain_id, seq, hash, signature FROM runtime_audit_anchors WHERE chain_id = ?"
NEWEST_ANCHORS = """
SELECT chain_id, seq, hash FROM runtime_audit_anchors WHERE chain_id > '' ORDER BY chain_id DESC LIMIT 100
"""

# --- a run goes: the rows that name it at once, the others later ---

DELETE_PAST_RUN = "DELETE FROM runtime_runs WHERE run_id = ?"
DELETE_NODE = "DELETE FROM runtime_nodes WHERE node_id = ?"
DELETE_IDEMPOTENT = "DELETE FROM runtime_idempotency WHERE key = ? AND run_id = ?"
DELETE_CLAIM = "DELETE FROM runtime_replay_effects WHERE target = ? AND run_id = ?"
DELETE_DEAD_LETTER = "DELETE FROM runtime_dead_letters WHERE run_id = ?"
INSERT_PRUNED_RUN = "INSERT INTO runtime_pruned_runs (run_id, job_key, seq, pruned_ms) VALUES (?, ?, ?, ?)"

LEFT_EVENTS = """
SELECT e.seq, coalesce(length(p.body), 0)
FROM runtime_events AS e LEFT JOIN runtime_payloads AS p ON p.job_id = e.job_id AND p.seq = e.seq
WHERE e.job_id = ? AND e.seq <= ? ORDER BY e.seq LIMIT ?
"""
DELETE_EVENTS = "DELETE FROM runtime_events WHERE job_id = ? AND seq <= ?"
DELETE_PAYLOADS = "DELETE FROM runtime_payloads WHERE job_id = ? AND seq <= ?"
DELETE_STEPS = """
DELETE FROM runtime_steps WHERE run_id = :run_id AND (action_id, status, dedupe_token) IN (
    SELECT action_id, status, dedupe_token FROM runtime_steps WHERE run_id = :run_id LIMIT :limit
)
"""
DELETE_WAITS = """
DELETE FROM runtime_waits WHERE id IN (
    SELECT id FROM runtime_waits INDEXED BY runtime_waits_run WHERE run_id = :run_id LIMIT :limit
)
"""
# A lease's id begins with the digits of its run.
DELETE_CLOSED_LEASES = """
DELETE FROM runtime_closed_leases WHERE lease_id IN (
    SELECT lease_id FROM runtime_closed_leases WHERE lease_id > :first AND lease_id < :last LIMIT :limit
)
"""
DELETE_PRUNED_RUN = "DELETE FROM runtime_pruned_runs WHERE run_id = ?"

DELETE_WORKER = "DELETE FROM runtime_workers WHERE worker_key = ?"
DELETE_ENDED_SESSION = "DELETE FROM runtime_ended_sessions WHERE worker_key = ? AND session = ?"

WRITE_ANCHOR = """
INSERT INTO runtime_audit_anchors (chain_id, seq, hash, signature) VALUES (?, ?, ?, ?)
ON CONFLICT (chain_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, signature = excluded.signature
"""
DELETE_AUDIT = "DELETE FROM runtime_audit_log WHERE chain_id = ? AND seq <= ?"
