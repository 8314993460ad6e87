"""The stored keys that let anybody in, in memory, so that telling who calls costs no read.

Learnt from the store at the start, changed with each commit that makes or revokes a key before its answer goes out, and
read again now and then for what other nodes have done. Whoever is at work when his key ends is sent away: see
`while_valid`.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from typing import NamedTuple

from oris.api.http import Caller, Role
from oris.api.standing import Standing
from oris.core.api_key import ApiKey
from oris.errors import ApiError, ErrorCode
from oris.ids import KeyId
from oris.storage.reads.cluster import StoredKeys

NOTED_EVERY_MS = 60_000
"""A key's last use is written at most so often."""
_NO_DIGEST = secrets.token_bytes(32)
"""Compared with the secret of a key that does not exist: nothing hashes to it, and it takes as long."""


class NewKey(NamedTuple):
    """A key that is to be made. The secret is shown once, and never stored."""

    key_id: KeyId
    secret: str
    digest: bytes


STORED_KEY_SCHEMES = ("api_key", "bearer")
"""How a stored key may be sent: in two fields, or in one."""


def new_key() -> NewKey:
    """Fresh from the machine's source of randomness: 16 random bytes of id, 32 of secret."""
    secret = "oris_" + secrets.token_urlsafe(32)
    return NewKey(KeyId("key_" + secrets.token_hex(16)), secret, digest_of(secret.encode()))


def digest_of(secret: bytes) -> bytes:
    """Of one length whatever the secret's is, so that comparing tells nothing about it."""
    return hashlib.sha256(secret).digest()


class KeyRing:
    """All keys that are neither revoked nor expired. Every method is synchronous."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the calendar, by which keys expire."""
        self._now_ms = now_ms
        self._keys: dict[bytes, ApiKey] = {}
        self._used: dict[KeyId, int] = {}
        """Last uses that are not written yet, of keys where that is due."""
        self._standing = Standing[KeyId](_is_over)
        self.any_ever = False
        """There is or was a stored key: the server is closed for good."""
        self.on_first: Callable[[], None] | None = None
        """Told when there is one for the first time. Must not raise."""
        self.version = 0
        """Rises with every change: what was read before one is out of date."""

    def learn(self, stored: StoredKeys, version: int) -> bool:
        """Take over what was read from the store; False, and nothing done, when `version` is no longer the ring's."""
        if version != self.version:
            return False
        if stored.any_ever:
            self._close()
        before, self._keys = self._keys, {key.key_id.encode(): key for key in stored.keys}
        for gone in before.keys() - self._keys.keys():
            self._send_away(before[gone].key_id)
        return True

    def put(self, key: ApiKey) -> None:
        """A key was made or changed by a commit of this node."""
        self.version += 1
        self._close()
        if key.revoked_ms is None:
            self._keys[key.key_id.encode()] = key
        else:
            self._keys.pop(key.key_id.encode(), None)
            self._used.pop(key.key_id, None)
            self._send_away(key.key_id)

    def find(self, key_id: bytes, secret: bytes) -> Caller | None:
        """Who calls with this id and this secret. For an unknown id as much is computed as for a known one."""
        now_ms = self._now_ms()
        key = self._keys.get(key_id)
        is_right = hmac.compare_digest(_NO_DIGEST if key is None else key.digest, digest_of(secret))
        if key is None or not is_right or not key.lets_in(now_ms):
            return None
        if abs(now_ms - (key.used_ms or 0)) >= NOTED_EVERY_MS:
            self._used.setdefault(key.key_id, now_ms)
        return Caller(Role(key.role), key.tenant_id, "api_key", key.key_id, key.key_id)

    def uses(self, most: int) -> tuple[tuple[KeyId, int], ...]:
        """Last uses that are to be written, so many at most. They are given again until a commit has written them."""
        return tuple(islice(self._used.items(), most))

    def noted(self, uses: tuple[tuple[KeyId, int], ...]) -> None:
        """These were written."""
        for key_id, _ in uses:
            self._used.pop(key_id, None)

    def while_valid(self, key_id: KeyId) -> AbstractContextManager[None]:
        """Run the body for as long as the key lets in: at its end the body is cancelled, and this raises ApiError 401.

        Raises it at once for a key that is over already.
        """
        key = self._keys.get(key_id.encode())
        now_ms = self._now_ms()
        if key is None or not key.lets_in(now_ms):
            raise _is_over(key_id)
        left_s = math.inf if key.expires_ms is None else (key.expires_ms - now_ms) / 1000
        return self._standing.under(key_id, left_s)

    def check(self, key_id: KeyId) -> None:
        """Raises ApiError 401 for a key that is over: it may have been good when the request's head came."""
        key = self._keys.get(key_id.encode())
        if key is None or not key.lets_in(self._now_ms()):
            raise _is_over(key_id)

    def _close(self) -> None:
        was_open, self.any_ever = not self.any_ever, True
        if was_open and self.on_first is not None:
            self.on_first()

    def _send_away(self, key_id: KeyId) -> None:
        self._standing.send_away(key_id, "the key was revoked")


def _is_over(_: KeyId) -> ApiError:
    message = "the key was revoked, or has expired"
    return ApiError(ErrorCode.UNAUTHORIZED, message, {"supported_auth": list(STORED_KEY_SCHEMES)})
