-- Workflows whose last leases were lost: a row only while there are such losses. Held ones are given out one at a time.
-- And for each worker the runs whose losses its incidents are. Times are engine ms.
-- min_program_version: 0.2.0

CREATE TABLE runtime_holds (
    tenant_id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    lost TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    again INTEGER NOT NULL,
    held_ms INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    probes INTEGER NOT NULL,
    probe TEXT,
    PRIMARY KEY (tenant_id, workflow)
) STRICT, WITHOUT ROWID;

CREATE INDEX runtime_holds_held ON runtime_holds (held_ms) WHERE held_ms > 0;
CREATE INDEX runtime_holds_old ON runtime_holds (changed_ms) WHERE held_ms = 0;

ALTER TABLE runtime_workers ADD COLUMN incident_runs TEXT NOT NULL DEFAULT '';
