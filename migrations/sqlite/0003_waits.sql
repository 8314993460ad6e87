-- Waits for time and for people, and cancels that leave the worker a while. New columns stand at the end.
-- min_program_version: 0.1.0

ALTER TABLE runtime_jobs ADD COLUMN wait_mode TEXT;
ALTER TABLE runtime_jobs ADD COLUMN waits_open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_jobs ADD COLUMN interrupts_open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_jobs ADD COLUMN waits_raised INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_jobs ADD COLUMN cancel_due_ms INTEGER;
ALTER TABLE runtime_runs ADD COLUMN wait_mode TEXT;
ALTER TABLE runtime_runs ADD COLUMN waits_open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN interrupts_open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN waits_raised INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN cancel_due_ms INTEGER;

-- What a run waits for, or has waited for. `value_seq` and `value_index` name the value shown to people: its place in
-- the payload of the event that raised it; `settled_seq` the event that brought the value it was settled with.
CREATE TABLE runtime_waits (
    wait_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    job_key TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    due_ms INTEGER,
    on_expire TEXT NOT NULL,
    on_reject TEXT NOT NULL,
    value_seq INTEGER NOT NULL,
    value_index INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    settled_ms INTEGER,
    settled_by TEXT,
    settled_seq INTEGER NOT NULL,
    settled_digest BLOB
) STRICT;

CREATE UNIQUE INDEX runtime_waits_key ON runtime_waits (run_id, key);
CREATE INDEX runtime_waits_pending ON runtime_waits (run_id) WHERE status = 'pending';
CREATE INDEX runtime_waits_run ON runtime_waits (run_id);
-- What people look at: the open questions, newest first.
CREATE INDEX runtime_waits_open ON runtime_waits (kind) WHERE status = 'pending';
