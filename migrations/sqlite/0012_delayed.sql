-- What waits for its time is counted apart from what is due: each has limits of its own. `waiting` stays the count of both.
-- min_program_version: 0.2.0

ALTER TABLE runtime_tenants ADD COLUMN delayed INTEGER NOT NULL DEFAULT 0;

UPDATE runtime_tenants SET waiting = counted.waiting, delayed = counted.delayed
FROM (
    SELECT t.tenant_id, count(j.status) AS waiting, coalesce(sum(j.status <> 'queued'), 0) AS delayed
    FROM runtime_tenants AS t LEFT JOIN runtime_jobs AS j
        ON j.tenant_id = t.tenant_id AND j.status IN ('scheduled', 'queued', 'retry_backoff')
    GROUP BY t.tenant_id
) AS counted
WHERE counted.tenant_id = runtime_tenants.tenant_id;
