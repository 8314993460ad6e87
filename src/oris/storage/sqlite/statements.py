"""Every statement the transactions run. The columns of a row are the fields of its struct; see `columns`.

Rows are read positionally; those of `runtime_jobs` carry their `id` at the end. Events and payloads name their job by
that id instead of its key.
"""

from __future__ import annotations

from oris.storage.sqlite import columns as c

# --- the node's own row: the batch id tells whether a commit happened ---

WRITE_NODE = """
INSERT INTO runtime_nodes (node_id, name, batch_id, now_ms, calm_ms, skew_ms, waiting, delayed, leased)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET
    batch_id = excluded.batch_id, now_ms = max(now_ms, excluded.now_ms), calm_ms = max(calm_ms, excluded.calm_ms),
    skew_ms = excluded.skew_ms, waiting = waiting + excluded.waiting, delayed = delayed + excluded.delayed,
    leased = leased + excluded.leased
"""
TOUCH_NODE = """
INSERT INTO runtime_nodes (node_id, name, batch_id, now_ms) VALUES (?, ?, '', ?)
ON CONFLICT (node_id) DO UPDATE SET now_ms = max(now_ms, excluded.now_ms)
"""
READ_BATCH = "SELECT batch_id FROM runtime_nodes WHERE node_id = ?"
HIGH_WATER = "SELECT coalesce(max(now_ms), 0) FROM runtime_nodes"
CALM = "SELECT coalesce(max(calm_ms), 0) FROM runtime_nodes"
OTHERS_CALM = "SELECT coalesce(max(calm_ms), 0) FROM runtime_nodes WHERE node_id <> ?"

JOB_ID = "SELECT id FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?"

# --- loading: point lookups, because each is one index probe ---

JOB_BY_KEY = f"""
SELECT {c.JOB}, id
FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?
"""
JOB_BY_RUN = f"""
SELECT {c.JOB}, id
FROM runtime_jobs WHERE run_id = ?
"""
JOBS_BY_POLL = f"""
SELECT {c.JOB}, id
FROM runtime_jobs WHERE worker_key = ? AND poll_id = ? ORDER BY id
"""
QUEUED_OF_THREAD = f"""
SELECT {c.JOB}, id FROM runtime_jobs WHERE id IN (
    SELECT id FROM (
        SELECT id, status FROM runtime_jobs WHERE thread_id = ? ORDER BY tenant_id LIMIT 10000
    ) WHERE status = 'queued' LIMIT 100
)
"""
LANE_HEADS = f"""
SELECT {c.JOB}, id
FROM runtime_jobs WHERE status = 'queued' AND tenant_id = ? AND workflow = ?
ORDER BY priority DESC, available_ms, run_id LIMIT ?
"""
# The rows are only loaded of those that are wanted, among many more that are looked at.
LOST_LEAST = f"""
SELECT {c.JOB}, id FROM runtime_jobs WHERE id IN (
    SELECT id FROM (
        SELECT id, losses, priority, available_ms, run_id
        FROM runtime_jobs WHERE status = 'queued' AND tenant_id = ? AND workflow = ?
        ORDER BY priority DESC, available_ms, run_id LIMIT ?
    ) ORDER BY losses, priority DESC, available_ms, run_id LIMIT ?
) ORDER BY losses, priority DESC, available_ms, run_id
"""
CLOSED_LEASE = f"""
SELECT {c.CLOSED_LEASE} FROM runtime_closed_leases
WHERE lease_id = ? AND NOT EXISTS (SELECT 1 FROM runtime_pruned_runs WHERE run_id = 'run_' || substr(lease_id, 5, 32))
"""
IDEMPOTENT = f"SELECT {c.names(c.IDEMPOTENT.fields)} FROM runtime_idempotency WHERE key = ?"
STEPS_OF_ACTION = f"SELECT {c.STEP} FROM runtime_steps WHERE run_id = ? AND action_id = ?"
PENDING_WAITS = f"""
SELECT {c.WAIT}
FROM runtime_waits WHERE run_id = ? AND status = 'pending'
"""
WAIT_BY_KEY = f"""
SELECT {c.WAIT}
FROM runtime_waits WHERE run_id = ? AND key = ?
"""
WAIT = f"""
SELECT {c.WAIT}
FROM runtime_waits
WHERE wait_id = ? AND NOT EXISTS (SELECT 1 FROM runtime_pruned_runs AS p WHERE p.run_id = runtime_waits.run_id)
"""
NEWEST_INTERRUPTS = f"""
SELECT {c.WAIT}
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
REPLAY_CLAIM = f"SELECT {c.names(c.CLAIMS.fields)} FROM runtime_replay_effects WHERE target = ?"
WORKER = f"SELECT {c.WORKER} FROM runtime_workers WHERE worker_key = ?"
ANY_HOLD = "SELECT 1 FROM runtime_holds LIMIT 1"
HOLD = f"SELECT {c.HOLD} FROM runtime_holds WHERE tenant_id = ? AND workflow = ?"
# Lease ids begin with their run's digits, and go on with the fence, which rises: the newest losses come first.
LOST_BY = """
SELECT worker_key FROM runtime_closed_leases
WHERE lease_id >= ? AND lease_id < ? AND state IN ('expired', 'superseded') ORDER BY lease_id DESC LIMIT 16
"""
API_KEY = f"SELECT {c.API_KEY} FROM runtime_api_keys WHERE key_id = ?"
ENDED_SESSION = "SELECT ended_ms FROM runtime_ended_sessions WHERE worker_key = ? AND session = ?"
NODE = "SELECT now_ms FROM runtime_nodes WHERE node_id = ?"
NODE_NAME = "SELECT 1 FROM runtime_nodes WHERE name = ? LIMIT 1"
MODE = f"SELECT {c.names(c.MODES.fields)} FROM runtime_modes WHERE node = ?"
# A row per start of a node, few of them.
TOTAL = """
SELECT coalesce(sum(waiting), 0), coalesce(sum(delayed), 0), coalesce(sum(leased), 0) FROM runtime_nodes
"""
TENANT = f"SELECT {c.TENANT} FROM runtime_tenants WHERE tenant_id = ?"

# --- writing ---

NEXT_JOB_ID = "SELECT coalesce(max(id), 0) + 1 FROM runtime_jobs"
INSERT_JOB = c.JOBS.insert("id")
# A run keeps what its submit said: only what its events change is written, and no index over the rest is touched.
UPDATE_RUN = f"UPDATE runtime_jobs SET {c.sets(c.RUN_FIELDS)} WHERE id = ?"
UPDATE_LEASE_END = "UPDATE runtime_jobs SET lease_expires_ms = ?, lease_asked_ms = ? WHERE id = ?"
UPDATE_JOB = f"UPDATE runtime_jobs SET {c.sets(c.JOBS.fields)} WHERE id = ?"
INSERT_PAST_RUN = c.RUNS.insert()
INSERT_EVENT = c.EVENTS.insert("job_id")
INSERT_PAYLOAD = c.PAYLOADS.insert("job_id")
# Of a step that is there already only `latest` ever changes.
WRITE_STEP = c.STEPS.upsert(("run_id", "action_id", "status", "dedupe_token"), ("latest",))
INSERT_CLOSED_LEASE = c.CLOSED_LEASES.insert()
INSERT_IDEMPOTENT = c.IDEMPOTENT.insert()
# Of a dead letter that is there already only what was done about it ever changes.
WRITE_DEAD_LETTER = c.DEAD_LETTERS.upsert(
    ("run_id",), ("replay_status", "replay_count", "replayed_ms", "replay_run_id")
)
WRITE_CLAIM = c.CLAIMS.upsert(("target",), ("run_id", "checkpoint_id", "claimed_ms"))
# Of a wait that is there already only how it was settled ever changes.
WRITE_WAIT = c.WAITS.upsert(("wait_id",), ("status", "settled_ms", "settled_by", "settled_seq", "settled_digest"))
WRITE_WORKER = c.WORKERS.upsert(("worker_key",), kept=("first_seen_ms",), added=("leased",))
WRITE_HOLD = c.HOLDS.upsert(("tenant_id", "workflow"))
DELETE_HOLD = "DELETE FROM runtime_holds WHERE tenant_id = ? AND workflow = ?"
DELETE_OLD_HOLDS = "DELETE FROM runtime_holds WHERE held_ms = 0 AND changed_ms < ?"
INSERT_ENDED_SESSION = c.ENDED_SESSIONS.insert()
WRITE_TENANT = c.TENANTS.upsert(("tenant_id",), added=("waiting", "leased", "delayed"), highest=("served",))
# Of a key that is there already only its end and its last use ever change.
WRITE_API_KEY = c.API_KEYS.upsert(("key_id",), ("revoked_ms", "used_ms"))
WRITE_MODE = c.MODES.upsert(("node",))
INSERT_AUDIT = c.AUDIT_LOG.insert()

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
