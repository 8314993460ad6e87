"""Every statement of retention, written out; the same rules as in `statements`."""

from __future__ import annotations

from oris.storage.sqlite import columns as c

# --- what may go: walks over what is old, oldest first; a number of rows at a time, and what each is ---

OLD_PAST_RUNS = """
SELECT r.updated_ms, r.id, r.job_key,
       NOT EXISTS (SELECT 1 FROM runtime_runs AS o WHERE o.job_key = r.job_key AND o.seq < r.seq)
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
# A row per start of a node; those that are to be found are few after the first pass. The newest start of a node for
# which something is switched stays, so that it is known.
OLD_NODES = """
SELECT node_id FROM runtime_nodes AS n
WHERE now_ms < ? AND (
    NOT EXISTS (SELECT 1 FROM runtime_modes AS m WHERE m.node = n.name)
    OR EXISTS (SELECT 1 FROM runtime_nodes AS o WHERE o.name = n.name AND o.now_ms > n.now_ms)
) LIMIT ?
"""
NEXT_CHAIN = "SELECT chain_id FROM runtime_audit_log WHERE chain_id > ? ORDER BY chain_id LIMIT 1"
OLDEST_RECORDS = f"""
SELECT {c.AUDIT_RECORD}
FROM runtime_audit_log WHERE chain_id = ? ORDER BY seq LIMIT ?
"""
PRUNED_RUNS = f"SELECT {c.PRUNED_RUN} FROM runtime_pruned_runs WHERE run_id > '' ORDER BY run_id LIMIT ?"

# --- what may go of one thread: of each run what `core.old.OldRun` is, and its place ---

OLDEST_PAST_RUNS = """
SELECT r.run_id, r.seq, r.head_hash, r.fence, r.status, r.updated_ms,
       EXISTS (SELECT 1 FROM runtime_dead_letters AS d WHERE d.run_id = r.run_id AND d.replay_status = 'pending'),
       coalesce((
           SELECT n.seq FROM runtime_runs AS n INDEXED BY runtime_runs_replays
           WHERE n.replay_of = r.run_id ORDER BY n.id DESC LIMIT 1
       ), 0)
FROM runtime_runs AS r INDEXED BY runtime_runs_thread
WHERE r.job_key = ? AND r.seq > ? ORDER BY r.seq LIMIT ?
"""
LATEST_RUN = """
SELECT pruned_seq, replay_of, run_id, seq, head_hash, fence, status, updated_ms,
       EXISTS (SELECT 1 FROM runtime_dead_letters AS d WHERE d.run_id = j.run_id AND d.replay_status = 'pending')
FROM runtime_jobs AS j WHERE thread_id = ? AND tenant_id = ?
"""

# --- the facts of retention ---

PRUNED_RUN = f"SELECT {c.PRUNED_RUN} FROM runtime_pruned_runs WHERE run_id = ?"
AUDIT_PLACE = f"SELECT {c.AUDIT_HEAD} FROM runtime_audit_log WHERE chain_id = ? AND seq = ?"
ANCHOR = f"SELECT {c.ANCHOR} FROM runtime_audit_anchors WHERE chain_id = ?"
NEWEST_ANCHORS = f"""
SELECT {c.AUDIT_HEAD} FROM runtime_audit_anchors WHERE chain_id > '' ORDER BY chain_id DESC LIMIT 100
"""

# --- a run goes: the rows that name it at once, the others later ---

PAST_RUN_SEQ = "SELECT seq FROM runtime_runs WHERE run_id = ?"


def _of_those_that_go(columns: str) -> str:
    """These columns of a thread's past runs up to an event, and of its latest run if that one is named."""
    return f"""
    SELECT {columns} FROM runtime_runs INDEXED BY runtime_runs_thread WHERE job_key = :job_key AND seq <= :last_seq
    UNION ALL SELECT {columns} FROM runtime_jobs WHERE run_id = :latest"""


INSERT_PRUNED_RUNS = f"""
INSERT INTO runtime_pruned_runs (run_id, job_key, seq, pruned_ms)
{_of_those_that_go("run_id, job_key, seq, :pruned_ms")}
"""
# A target may have been claimed by a later run, which stays. No correlated subquery: that would take twice as long.
# The key as `ids.idempotency_key` makes it.
DELETE_IDEMPOTENT = f"""
DELETE FROM runtime_idempotency
WHERE key IN ({_of_those_that_go("tenant_id || '/' || idempotency_key")})
  AND run_id IN (SELECT run_id FROM runtime_pruned_runs)
"""
DELETE_CLAIMS = f"""
DELETE FROM runtime_replay_effects
WHERE target IN ({_of_those_that_go("replay_target")})
  AND run_id IN (SELECT run_id FROM runtime_pruned_runs)
"""
DELETE_DEAD_LETTERS = f"""
DELETE FROM runtime_dead_letters WHERE run_id IN ({_of_those_that_go("run_id")})
"""
# The last: the others go by them.
DELETE_PAST_RUNS = """
DELETE FROM runtime_runs INDEXED BY runtime_runs_thread WHERE job_key = :job_key AND seq <= :last_seq
"""

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
# What it has counted is still there, and counted by the node that deletes it.
TAKE_OVER_COUNTS = """
INSERT INTO runtime_nodes (node_id, name, batch_id, now_ms, waiting, delayed, leased)
SELECT :here, :name, '', 0, waiting, delayed, leased FROM runtime_nodes WHERE node_id = :gone
ON CONFLICT (node_id) DO UPDATE SET
    waiting = waiting + excluded.waiting, delayed = delayed + excluded.delayed, leased = leased + excluded.leased
"""
DELETE_NODE = "DELETE FROM runtime_nodes WHERE node_id = ?"
DELETE_ENDED_SESSION = "DELETE FROM runtime_ended_sessions WHERE worker_key = ? AND session = ?"

WRITE_ANCHOR = c.ANCHORS.upsert(("chain_id",))
DELETE_AUDIT = "DELETE FROM runtime_audit_log WHERE chain_id = ? AND seq <= ?"
