-- API keys: what is stored is the SHA-256 of a secret that is shown once. A key is never deleted: that there was one
-- keeps the server closed. New columns stand at the end, as the fields of the struct do.
-- min_program_version: 0.1.0

CREATE TABLE runtime_api_keys (
    id INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    tenant_id TEXT,
    digest BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER,
    used_ms INTEGER
) STRICT;

CREATE INDEX runtime_api_keys_standing ON runtime_api_keys (id) WHERE revoked_ms IS NULL;
