-- Retention: old runs go, and their thread keeps its place; so do old audit records, and an anchor stays of each chain.
-- New columns stand at the end.
-- min_program_version: 0.1.0

ALTER TABLE runtime_jobs ADD COLUMN pruned_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_jobs ADD COLUMN pruned_hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE runtime_jobs ADD COLUMN pruned_runs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_jobs ADD COLUMN pruned_fence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN pruned_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN pruned_hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE runtime_runs ADD COLUMN pruned_runs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN pruned_fence INTEGER NOT NULL DEFAULT 0;

-- Runs by when they were over. Nothing changes of a run that is: each is put here once.
CREATE INDEX runtime_jobs_over ON runtime_jobs (updated_ms)
    WHERE status IN ('completed', 'failed', 'cancelled') AND pruned_seq < seq;
CREATE INDEX runtime_runs_over ON runtime_runs (updated_ms);
CREATE INDEX runtime_runs_replays ON runtime_runs (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX runtime_ended_sessions_ended ON runtime_ended_sessions (ended_ms);

-- Runs that were pruned and have left rows: nobody is shown them, and they are erased piece by piece. `seq` is the last
-- event.
CREATE TABLE runtime_pruned_runs (
    run_id TEXT PRIMARY KEY,
    job_key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    pruned_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is left of the beginning of a chain: its last record that has gone, signed with a key that is not in here.
CREATE TABLE runtime_audit_anchors (
    chain_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The row of a thread of which nothing is kept is no attempt.
DROP VIEW runtime_attempts;
CREATE VIEW runtime_attempts AS
SELECT 'att_' || substr(run_id, 5) AS attempt_id, run_id, tenant_id, thread_id, workflow, status, reason, attempt_no,
       retries, losses, priority, available_ms, due_ms, queued_ms, fence, used_ms, timeout_ms, created_ms, updated_ms
FROM runtime_jobs
WHERE pruned_seq < seq
UNION ALL
SELECT 'att_' || substr(run_id, 5), run_id, tenant_id, thread_id, workflow, status, reason, attempt_no,
       retries, losses, priority, available_ms, due_ms, queued_ms, fence, used_ms, timeout_ms, created_ms, updated_ms
FROM runtime_runs;
