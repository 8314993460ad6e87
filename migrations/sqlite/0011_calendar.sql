-- Calendar time and engine time are two things. What has a date (scheduled runs, waits) is found by its date; leases
-- and backoffs by the engine's clock. Events, runs and nodes keep how far the
-- calendar was ahead. New columns stand at the end.
-- min_program_version: 0.2.0

ALTER TABLE runtime_events ADD COLUMN skew_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_jobs ADD COLUMN skew_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN skew_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_nodes ADD COLUMN skew_ms INTEGER NOT NULL DEFAULT 0;

UPDATE runtime_jobs SET wake_ms = NULL WHERE status IN ('scheduled', 'suspended', 'interrupted');
CREATE INDEX runtime_jobs_due ON runtime_jobs (due_ms)
    WHERE due_ms IS NOT NULL AND status IN ('scheduled', 'suspended', 'interrupted');
