"""Every statement of the check of the audit trail, written out; the same rules as in `statements`.

Names of chains come as bytes: what has been changed in the file need not be text.
"""

from __future__ import annotations

from oris.storage.sqlite import columns as c

PAGE = f"""
SELECT id, {c.AUDIT_RECORD}
FROM runtime_audit_log NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?
"""
RECORD = f"""
SELECT {c.AUDIT_RECORD}
FROM runtime_audit_log WHERE chain_id = CAST(? AS TEXT) AND seq = ?
"""
NEXT_CHAIN = "SELECT chain_id FROM runtime_audit_log WHERE chain_id > CAST(? AS TEXT) ORDER BY chain_id LIMIT 1"
CHAIN_END = f"""
SELECT {c.AUDIT_HEAD} FROM runtime_audit_log WHERE chain_id = CAST(? AS TEXT) ORDER BY seq DESC LIMIT 1
"""
ANCHOR = f"SELECT {c.ANCHOR} FROM runtime_audit_anchors WHERE chain_id = CAST(? AS TEXT)"
NEXT_ANCHOR = f"""
SELECT {c.ANCHOR} FROM runtime_audit_anchors
WHERE chain_id > CAST(? AS TEXT) ORDER BY chain_id LIMIT 1
"""
