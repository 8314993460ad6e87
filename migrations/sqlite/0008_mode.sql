-- Whether new runs are taken and work is given out, as operators have switched it. '' is the whole cluster.
-- min_program_version: 0.1.0

CREATE TABLE runtime_modes (
    node_id TEXT PRIMARY KEY,
    submit INTEGER NOT NULL,
    dispatch INTEGER NOT NULL,
    reason TEXT,
    set_by TEXT NOT NULL,
    set_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
