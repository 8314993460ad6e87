-- Sessions, incidents and quarantine of workers; whose session and which ttl a lease has; until when leases were looked
-- after. New columns stand at the end, as the fields of the structs do.
-- min_program_version: 0.1.0

ALTER TABLE runtime_jobs ADD COLUMN lease_session TEXT;
ALTER TABLE runtime_jobs ADD COLUMN lease_ttl_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN lease_session TEXT;
ALTER TABLE runtime_runs ADD COLUMN lease_ttl_ms INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runtime_workers ADD COLUMN session TEXT;
ALTER TABLE runtime_workers ADD COLUMN session_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_workers ADD COLUMN cut_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_workers ADD COLUMN granted_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_workers ADD COLUMN incidents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_workers ADD COLUMN incident_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_workers ADD COLUMN quarantined_until_ms INTEGER NOT NULL DEFAULT 0;

-- Sessions that a newer one of their worker has replaced: dead for good.
CREATE TABLE runtime_ended_sessions (
    worker_key TEXT NOT NULL,
    session TEXT NOT NULL,
    ended_ms INTEGER NOT NULL,
    PRIMARY KEY (worker_key, session)
) STRICT, WITHOUT ROWID;

-- Until when a node has owed no lease anything: a gap after it is time that counts against none.
ALTER TABLE runtime_nodes ADD COLUMN calm_ms INTEGER NOT NULL DEFAULT 0;

DROP VIEW runtime_leases;
CREATE VIEW runtime_leases AS
SELECT lease_id, worker_key, lease_session AS session, tenant_id, thread_id, run_id, fence, poll_id, lease_granted_ms,
       lease_expires_ms, lease_ttl_ms
FROM runtime_jobs
WHERE worker_key IS NOT NULL;
