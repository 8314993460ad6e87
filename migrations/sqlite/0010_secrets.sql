-- Random bytes that every node knows and no answer shows: `cursors` is what the cursors of lists are masked with.
-- min_program_version: 0.1.0

CREATE TABLE runtime_secrets (
    name TEXT PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO runtime_secrets (name, secret) VALUES ('cursors', randomblob(32));
