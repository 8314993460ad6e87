"""Every statement of the check of the audit trail, written out; the same rules as in `statements`.

Names of chains come as bytes: what has been changed in the file need not be text.
"""

from __future__ import annotations

PAGE = """
SELECT id, audit_id, chain_id, seq, actor_type, actor_id, actor_role, tenant_id, source, action, resource_type,
       resource_id, result, request_id, details, created_ms, hash
FROM runtime_audit_log NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?
"""
RECORD = """
SELECT audit_id, chain_id, seq, actor_type, actor_id, actor_role, tenant_id, source, action, resource_type,
       resource_id, result, request_id, details, created_ms, hash
FROM runtime_audit_log WHERE chain_id = CAST(? AS TEXT) AND seq = ?
"""
NEXT_CHAIN = "SELECT chain_id FROM runtime_audit_log WHERE chain_id > CAST(? AS TEXT) ORDER BY chain_id LIMIT 1"
CHAIN_END = """
SELECT chain_id, seq, hash FROM runtime_audit_log WHERE chain_id = CAST(? AS TEXT) ORDER BY seq DESC LIMIT 1
"""
ANCHOR = "SELECT chain_id, seq, hash, signature FROM runtime_audit_anchors WHERE chain_id = CAST(? AS TEXT)"
NEXT_ANCHOR = """
SELECT chain_id, seq, hash, signature FROM runtime_audit_anchors
WHERE chain_id > CAST(? AS TEXT) ORDER BY chain_id LIMIT 1
"""
