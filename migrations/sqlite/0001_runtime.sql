-- The runtime's tables. Column order is field order of the structs in oris.core; times are engine ms.
-- min_program_version: 0.1.0

CREATE TABLE runtime_schema_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    min_program_version TEXT NOT NULL
) STRICT;

-- The wide root: one row per (tenant, thread), holding its latest run.
CREATE TABLE runtime_jobs (
    id INTEGER PRIMARY KEY,
    job_key TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    priority INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    attempt_no INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    available_ms INTEGER NOT NULL,
    due_ms INTEGER,
    queued_ms INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    lease_id TEXT,
    worker_key TEXT,
    poll_id TEXT,
    lease_granted_ms INTEGER NOT NULL,
    lease_expires_ms INTEGER NOT NULL,
    lost_ms INTEGER NOT NULL,
    timeout_ms INTEGER,
    on_timeout TEXT NOT NULL,
    used_ms INTEGER NOT NULL,
    retry_policy BLOB,
    idempotency_key TEXT,
    metadata BLOB,
    traceparent TEXT NOT NULL,
    input_seq INTEGER NOT NULL,
    checkpoint_seq INTEGER NOT NULL,
    result_seq INTEGER NOT NULL,
    error_seq INTEGER NOT NULL,
    handout_bytes INTEGER NOT NULL,
    checkpoint_bytes INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    wake_ms INTEGER
) STRICT;

-- A job_key is its tenant and thread: one index serves the key and the thread alone.
CREATE UNIQUE INDEX runtime_jobs_thread ON runtime_jobs (thread_id, tenant_id);
CREATE UNIQUE INDEX runtime_jobs_run_id ON runtime_jobs (run_id);
CREATE INDEX runtime_jobs_tenant ON runtime_jobs (tenant_id);
-- The queue: only due work, lane by lane, in the dispatch order.
CREATE INDEX runtime_jobs_dispatch ON runtime_jobs (tenant_id, workflow, priority DESC, available_ms, run_id)
    WHERE status = 'queued';
CREATE INDEX runtime_jobs_wake ON runtime_jobs (wake_ms) WHERE wake_ms IS NOT NULL;
CREATE INDEX runtime_jobs_poll ON runtime_jobs (worker_key, poll_id) WHERE worker_key IS NOT NULL;

-- Runs that a newer run of their thread has replaced.
CREATE TABLE runtime_runs (
    id INTEGER PRIMARY KEY,
    job_key TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    priority INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    attempt_no INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    available_ms INTEGER NOT NULL,
    due_ms INTEGER,
    queued_ms INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    lease_id TEXT,
    worker_key TEXT,
    poll_id TEXT,
    lease_granted_ms INTEGER NOT NULL,
    lease_expires_ms INTEGER NOT NULL,
    lost_ms INTEGER NOT NULL,
    timeout_ms INTEGER,
    on_timeout TEXT NOT NULL,
    used_ms INTEGER NOT NULL,
    retry_policy BLOB,
    idempotency_key TEXT,
    metadata BLOB,
    traceparent TEXT NOT NULL,
    input_seq INTEGER NOT NULL,
    checkpoint_seq INTEGER NOT NULL,
    result_seq INTEGER NOT NULL,
    error_seq INTEGER NOT NULL,
    handout_bytes INTEGER NOT NULL,
    checkpoint_bytes INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    wake_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX runtime_runs_run_id ON runtime_runs (run_id);
CREATE INDEX runtime_runs_job_key ON runtime_runs (job_key);

-- The timelines: append-only, one gapless chain per thread. `job_id` is runtime_jobs.id: it rises with time, so that
-- what a batch writes lies together; by the thread's own key every event would dirty a page of its own.
CREATE TABLE runtime_events (
    job_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    run_id TEXT NOT NULL,
    attempt_no INTEGER NOT NULL,
    worker_id TEXT,
    at_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    payload_digest BLOB,
    hash BLOB NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX runtime_events_retries ON runtime_events (run_id, seq) WHERE event_type = 'retry_scheduled';

-- The clients' JSON bytes, insert only. With rowids, so that big bodies lie apart from their key.
CREATE TABLE runtime_payloads (
    job_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT;

CREATE TABLE runtime_steps (
    run_id TEXT NOT NULL,
    action_id TEXT NOT NULL,
    status TEXT NOT NULL,
    dedupe_token TEXT NOT NULL,
    digest BLOB NOT NULL,
    seq INTEGER NOT NULL,
    checkpoint_seq INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    PRIMARY KEY (run_id, action_id, status, dedupe_token)
) STRICT, WITHOUT ROWID;

CREATE INDEX runtime_steps_latest ON runtime_steps (run_id, seq) WHERE latest = 1;

CREATE TABLE runtime_closed_leases (
    lease_id TEXT PRIMARY KEY,
    job_key TEXT NOT NULL,
    worker_key TEXT NOT NULL,
    state TEXT NOT NULL,
    request_hash BLOB,
    answer BLOB,
    closed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runtime_idempotency (
    key TEXT PRIMARY KEY,
    job_key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runtime_dead_letters (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    job_key TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    attempt_no INTEGER NOT NULL,
    reason TEXT NOT NULL,
    error_seq INTEGER NOT NULL,
    dead_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX runtime_dead_letters_tenant ON runtime_dead_letters (tenant_id);
CREATE INDEX runtime_dead_letters_workflow ON runtime_dead_letters (workflow);

CREATE TABLE runtime_workers (
    worker_key TEXT PRIMARY KEY,
    leased INTEGER NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX runtime_workers_first_seen ON runtime_workers (first_seen_ms, worker_key);

CREATE TABLE runtime_tenants (
    tenant_id TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL,
    leased INTEGER NOT NULL,
    served INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts that would need a scan. Rare events only: a trigger on a hot table would cost every batch.
CREATE TABLE runtime_totals (
    name TEXT PRIMARY KEY,
    total INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO runtime_totals (name, total) VALUES ('dead_letters', 0);

CREATE TRIGGER runtime_dead_letters_added AFTER INSERT ON runtime_dead_letters BEGIN
    UPDATE runtime_totals SET total = total + 1 WHERE name = 'dead_letters';
END;

CREATE TRIGGER runtime_dead_letters_removed AFTER DELETE ON runtime_dead_letters BEGIN
    UPDATE runtime_totals SET total = total - 1 WHERE name = 'dead_letters';
END;

CREATE TABLE runtime_audit_log (
    id INTEGER PRIMARY KEY,
    audit_id TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_role TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    source TEXT NOT NULL,
    action TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    result TEXT NOT NULL,
    request_id TEXT NOT NULL,
    details BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX runtime_audit_log_chain ON runtime_audit_log (chain_id, seq);
CREATE INDEX runtime_audit_log_created ON runtime_audit_log (created_ms);
CREATE INDEX runtime_audit_log_request ON runtime_audit_log (request_id);
CREATE INDEX runtime_audit_log_chain_starts ON runtime_audit_log (created_ms) WHERE seq = 1;

-- One row per node, written by each of its batches: tells whether a commit happened, and how late it is.
CREATE TABLE runtime_nodes (
    node_id TEXT PRIMARY KEY,
    batch_id TEXT NOT NULL,
    now_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- For operators.
CREATE VIEW runtime_attempts AS
SELECT 'att_' || substr(run_id, 5) AS attempt_id, run_id, tenant_id, thread_id, workflow, status, reason, attempt_no,
       retries, losses, priority, available_ms, due_ms, queued_ms, fence, used_ms, timeout_ms, created_ms, updated_ms
FROM runtime_jobs
UNION ALL
SELECT 'att_' || substr(run_id, 5), run_id, tenant_id, thread_id, workflow, status, reason, attempt_no,
       retries, losses, priority, available_ms, due_ms, queued_ms, fence, used_ms, timeout_ms, created_ms, updated_ms
FROM runtime_runs;

CREATE VIEW runtime_leases AS
SELECT lease_id, worker_key, tenant_id, thread_id, run_id, fence, poll_id, lease_granted_ms, lease_expires_ms
FROM runtime_jobs
WHERE worker_key IS NOT NULL;
