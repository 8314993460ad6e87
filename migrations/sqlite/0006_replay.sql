-- Replays by reference, their guard, and what was done about dead letters. New columns stand at the end.
-- min_program_version: 0.1.0

ALTER TABLE runtime_jobs ADD COLUMN replay_of TEXT;
ALTER TABLE runtime_jobs ADD COLUMN replay_target TEXT;
ALTER TABLE runtime_jobs ADD COLUMN sources BLOB;
ALTER TABLE runtime_jobs ADD COLUMN checkpoint_run TEXT;
ALTER TABLE runtime_jobs ADD COLUMN steps_succeeded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_runs ADD COLUMN replay_of TEXT;
ALTER TABLE runtime_runs ADD COLUMN replay_target TEXT;
ALTER TABLE runtime_runs ADD COLUMN sources BLOB;
ALTER TABLE runtime_runs ADD COLUMN checkpoint_run TEXT;
ALTER TABLE runtime_runs ADD COLUMN steps_succeeded INTEGER NOT NULL DEFAULT 0;

-- Of the runs that are there already, as their timelines tell it: each step succeeds once.
UPDATE runtime_jobs SET steps_succeeded = n.steps
FROM (SELECT run_id, count(*) AS steps FROM runtime_steps WHERE status = 'succeeded' GROUP BY run_id) AS n
WHERE n.run_id = runtime_jobs.run_id;
UPDATE runtime_runs SET steps_succeeded = n.steps
FROM (SELECT run_id, count(*) AS steps FROM runtime_steps WHERE status = 'succeeded' GROUP BY run_id) AS n
WHERE n.run_id = runtime_runs.run_id;

-- Who has claimed what for a replay: how that run stands says whether the target is free.
CREATE TABLE runtime_replay_effects (
    target TEXT PRIMARY KEY,
    job_key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    source_run_id TEXT NOT NULL,
    checkpoint_id TEXT,
    claimed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE runtime_dead_letters ADD COLUMN replay_status TEXT NOT NULL DEFAULT 'pending';
ALTER TABLE runtime_dead_letters ADD COLUMN replay_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtime_dead_letters ADD COLUMN replayed_ms INTEGER;
ALTER TABLE runtime_dead_letters ADD COLUMN replay_run_id TEXT;

CREATE INDEX runtime_dead_letters_pending ON runtime_dead_letters (replay_status) WHERE replay_status = 'pending';

-- The total is of those that nobody has replayed yet.
DROP TRIGGER runtime_dead_letters_added;
DROP TRIGGER runtime_dead_letters_removed;

CREATE TRIGGER runtime_dead_letters_added AFTER INSERT ON runtime_dead_letters WHEN new.replay_status = 'pending' BEGIN
    UPDATE runtime_totals SET total = total + 1 WHERE name = 'dead_letters';
END;

CREATE TRIGGER runtime_dead_letters_changed AFTER UPDATE OF replay_status ON runtime_dead_letters
WHEN old.replay_status <> new.replay_status BEGIN
    UPDATE runtime_totals SET total = total + (new.replay_status = 'pending') - (old.replay_status = 'pending')
    WHERE name = 'dead_letters';
END;

CREATE TRIGGER runtime_dead_letters_removed AFTER DELETE ON runtime_dead_letters WHEN old.replay_status = 'pending' BEGIN
    UPDATE runtime_totals SET total = total - 1 WHERE name = 'dead_letters';
END;
