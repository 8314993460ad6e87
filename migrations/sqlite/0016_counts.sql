-- Several nodes may write one store. What all of them count is a row of each node, summed when it is read, so that no
-- row is written by every commit of every node. A node's row is that of one start of it; its name stays over restarts.
-- min_program_version: 0.4.0

ALTER TABLE runtime_nodes ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE runtime_nodes ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_nodes ADD COLUMN delayed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_nodes ADD COLUMN leased INTEGER NOT NULL DEFAULT 0;
UPDATE runtime_nodes SET name = node_id;

-- What was counted before stands in one row, which retention adds to another when it goes.
INSERT INTO runtime_nodes (node_id, name, batch_id, now_ms)
SELECT 'before', 'before', '', 0
WHERE NOT EXISTS (SELECT 1 FROM runtime_nodes) AND EXISTS (SELECT 1 FROM runtime_tenants);
UPDATE runtime_nodes SET waiting = t.waiting, delayed = t.delayed, leased = t.leased
FROM (
    SELECT coalesce(sum(waiting), 0) AS waiting, coalesce(sum(delayed), 0) AS delayed, coalesce(sum(leased), 0) AS leased
    FROM runtime_tenants
) AS t
WHERE node_id = (SELECT node_id FROM runtime_nodes ORDER BY now_ms DESC, node_id LIMIT 1);

CREATE INDEX runtime_nodes_name ON runtime_nodes (name);

-- A mode is for a node's name.
ALTER TABLE runtime_modes RENAME COLUMN node_id TO node;
