-- Waits are listed in the order they were raised in. That was an implicit rowid, which VACUUM may number anew; it is a
-- column now, with the numbers as they were, so that cursors that are out go on.
-- min_program_version: 0.2.0

CREATE TABLE runtime_waits_with_id (
    id INTEGER PRIMARY KEY,
    wait_id TEXT NOT NULL UNIQUE,
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

INSERT INTO runtime_waits_with_id (
    id, wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
    value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest
)
SELECT rowid, wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, status, due_ms, on_expire, on_reject,
       value_seq, value_index, created_ms, settled_ms, settled_by, settled_seq, settled_digest
FROM runtime_waits ORDER BY rowid;

DROP TABLE runtime_waits;
ALTER TABLE runtime_waits_with_id RENAME TO runtime_waits;

CREATE UNIQUE INDEX runtime_waits_key ON runtime_waits (run_id, key);
CREATE INDEX runtime_waits_pending ON runtime_waits (run_id) WHERE status = 'pending';
CREATE INDEX runtime_waits_run ON runtime_waits (run_id);
-- What people look at: the open questions, newest first.
CREATE INDEX runtime_waits_open ON runtime_waits (kind) WHERE status = 'pending';
