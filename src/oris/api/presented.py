"""The credentials that a request brings, as its header fields present them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from oris.ids import KEY_ID

_STORED = re.compile(KEY_ID.encode() + rb"\.")


class Presented(NamedTuple):
    """One credential. With a `key_id` it is the secret of a stored key, else a static one of its scheme."""

    scheme: str
    """`bearer` or `api_key`."""
    key_id: bytes | None
    secret: bytes


def presented(fields: Mapping[bytes, bytes]) -> list[Presented]:
    """All of them, from header fields with lower-case names: of each text every reading. A bearer token may also be a
    stored key in one piece, and the secret beside a key id a static key."""
    found: list[Presented] = []
    token = _bearer(fields)
    if token is not None:
        found.append(Presented("bearer", None, token))
        named, dot, rest = token.partition(b".")
        if dot:
            found.append(Presented("api_key", named, rest))
    secret, key_id = fields.get(b"x-api-key"), fields.get(b"x-api-key-id")
    if secret is not None and key_id is not None:
        found.append(Presented("api_key", key_id, secret))
    if secret is not None:
        found.append(Presented("api_key", None, secret))  # an id that somebody has added does no harm
    return found


def named_keys(fields: Mapping[bytes, bytes]) -> set[bytes]:
    """The ids of all stored keys that a request means, whether or not there are such keys."""
    named = {each.key_id for each in presented(fields)} | {fields.get(b"x-api-key-id")}
    return {key_id for key_id in named if key_id is not None}


def lacking(fields: Mapping[bytes, bytes], supported: list[str]) -> str:
    """What a request lacks that none of its credentials lets in; the same whether or not a key of that id exists."""
    stored = "stored_key" in supported
    if stored and b"x-api-key-id" in fields and not fields.keys() & {b"x-api-key", b"authorization"}:
        return "X-Api-Key-Id names a stored key, but its secret is missing; send it as X-Api-Key"
    if _bearer(fields) == b"" and b"x-api-key" not in fields:
        return f"Authorization has no token after Bearer; {_ways(supported)}"
    if b"authorization" in fields and _bearer(fields) is None and b"x-api-key" not in fields:
        return f"Authorization has to be a bearer token; {_ways(supported)}"
    if not presented(fields):
        return f"credentials are missing; {_ways(supported)}"
    if stored and not named_keys(fields):
        if _STORED.match(fields.get(b"x-api-key", b"")):
            return f"X-Api-Key cannot have both the id and the secret of a stored key; {_ways(['stored_key'])}"
        no_static = "this is not a static credential, and " if len(supported) > 1 else ""
        return f"{no_static}a stored key needs its id with its secret; {_ways(supported)}"
    return f"the credential is wrong, has expired or was revoked; {_ways(supported)}"


def _bearer(fields: Mapping[bytes, bytes]) -> bytes | None:
    scheme, _, token = fields.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _ways(supported: list[str]) -> str:
    if not supported:
        return (
            "this server has no valid credential; an operator must set one, or stop the server and make a key "
            "(python -m oris keys create --role admin)"
        )
    ways = {
        "bearer": "Authorization: Bearer <token>",
        "api_key": "X-Api-Key: <key>",
        "stored_key": "Authorization: Bearer <key id>.<secret>, or X-Api-Key-Id: <key id> with X-Api-Key: <secret>",
    }
    return "send " + ", or ".join(ways[each] for each in ways if each in supported)
