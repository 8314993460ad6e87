-- When a lease ends by what its worker has asked for, apart from what outages have added: only that is made up for.
-- New columns stand at the end.
-- min_program_version: 0.1.0

ALTER TABLE runtime_jobs ADD COLUMN lease_asked_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN lease_asked_ms INTEGER NOT NULL DEFAULT 0;
UPDATE runtime_jobs SET lease_asked_ms = lease_expires_ms WHERE worker_key IS NOT NULL;

-- Live leases, page by page: few among all threads there ever were. No heartbeat touches it.
CREATE INDEX runtime_jobs_leased ON runtime_jobs (id) WHERE worker_key IS NOT NULL;
