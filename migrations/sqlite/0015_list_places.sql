-- Lists go by when a thing was made and by its id, instead of by the number of its row: such a place is the same on
-- every store, survives VACUUM, dump and restore, and tells nothing that need be masked. A walk for one tenant stays
-- among the rows of that tenant.
-- min_program_version: 0.4.0

DROP TABLE runtime_secrets;

-- When the thread was made: its place in lists. `created_ms` is when its latest run was.
ALTER TABLE runtime_jobs ADD COLUMN thread_created_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN thread_created_ms INTEGER NOT NULL DEFAULT 0;
UPDATE runtime_jobs SET thread_created_ms = coalesce(
    (SELECT created_ms FROM runtime_runs AS r WHERE r.job_key = runtime_jobs.job_key ORDER BY id LIMIT 1), created_ms
);
UPDATE runtime_runs SET thread_created_ms = j.thread_created_ms FROM runtime_jobs AS j
WHERE j.thread_id = runtime_runs.thread_id AND j.tenant_id = runtime_runs.tenant_id;

DROP INDEX runtime_jobs_tenant;
CREATE INDEX runtime_jobs_created ON runtime_jobs (thread_created_ms, job_key);
CREATE INDEX runtime_jobs_tenant ON runtime_jobs (tenant_id, thread_created_ms, job_key);

-- The runs of a thread, in their order: each ends with a later event than the one before.
DROP INDEX runtime_runs_job_key;
CREATE INDEX runtime_runs_thread ON runtime_runs (job_key, seq);

DROP INDEX runtime_dead_letters_tenant;
DROP INDEX runtime_dead_letters_workflow;
DROP INDEX runtime_dead_letters_pending;
CREATE INDEX runtime_dead_letters_dead ON runtime_dead_letters (dead_ms, run_id);
CREATE INDEX runtime_dead_letters_tenant ON runtime_dead_letters (tenant_id, dead_ms, run_id);
CREATE INDEX runtime_dead_letters_workflow ON runtime_dead_letters (workflow, dead_ms, run_id);
CREATE INDEX runtime_dead_letters_pending ON runtime_dead_letters (dead_ms, run_id) WHERE replay_status = 'pending';
CREATE INDEX runtime_dead_letters_tenant_pending ON runtime_dead_letters (tenant_id, dead_ms, run_id)
    WHERE replay_status = 'pending';

-- Waits for time are in no list.
DROP INDEX runtime_waits_open;
CREATE INDEX runtime_waits_interrupts ON runtime_waits (created_ms, wait_id) WHERE kind = 'interrupt';
CREATE INDEX runtime_waits_tenant ON runtime_waits (tenant_id, created_ms, wait_id) WHERE kind = 'interrupt';
CREATE INDEX runtime_waits_run_interrupts ON runtime_waits (run_id, created_ms, wait_id) WHERE kind = 'interrupt';
CREATE INDEX runtime_waits_open ON runtime_waits (created_ms, wait_id) WHERE kind = 'interrupt' AND status = 'pending';
CREATE INDEX runtime_waits_tenant_open ON runtime_waits (tenant_id, created_ms, wait_id)
    WHERE kind = 'interrupt' AND status = 'pending';

CREATE INDEX runtime_api_keys_created ON runtime_api_keys (created_ms, key_id);
CREATE INDEX runtime_api_keys_tenant ON runtime_api_keys (tenant_id, created_ms, key_id);

DROP INDEX runtime_audit_log_created;
CREATE INDEX runtime_audit_log_created ON runtime_audit_log (created_ms, audit_id);
CREATE INDEX runtime_audit_log_tenant ON runtime_audit_log (tenant_id, created_ms, audit_id);
