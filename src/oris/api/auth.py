"""Who is calling: by static credentials or stored keys, or, with none, everybody on this machine but no web page."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from oris.api.http import NOBODY, Caller, Role
from oris.api.key_ring import STORED_KEY_SCHEMES, KeyRing, digest_of
from oris.api.open_server import OpenServer
from oris.api.presented import Presented, lacking, presented
from oris.api.standing import Standing
from oris.errors import ApiError, ErrorCode

Scheme = Literal["bearer", "api_key"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A static secret and what it opens."""

    scheme: Scheme
    secret: str = field(repr=False)
    role: Role = Role.ADMIN
    actor_id: str = "static"
    tenant_id: str | None = None


class Authenticator:
    """Turns header fields into a caller.

    One right credential among those that are presented lets in, the first of several. Each is compared with every
    configured one, in constant time and without stopping at the first that fits. An `X-Api-Key` that comes with an
    `X-Api-Key-Id` is the secret of a stored key, and so is what stands behind the dot of `Bearer <key id>.<secret>`.

    Where there never was a credential, configured or stored, the API is open: the caller is an anonymous admin, and
    `open_server` says what is refused all the same. Once there was one it stays closed, also when the last has expired
    or is revoked.

    Whoever is let in is so for as long as that would let him in again: see `while_valid`.
    """

    def __init__(
        self,
        credentials: Iterable[Credential],
        *,
        open_server: OpenServer | None = None,
        keys: KeyRing | None = None,
    ) -> None:
        self.keys = keys or KeyRing(lambda: 0)
        """The stored keys; without a ring there are none."""
        self.keys.on_first = self._closed
        self._any_static = False
        self._known: list[tuple[Scheme, bytes, Caller]] = []
        self._numbers = count()
        self._standing = Standing[int | None](self._is_over)
        """Who is at work under a static credential; under None anybody."""
        self.replace(credentials)
        self._open_server = open_server or OpenServer()

    def replace(self, credentials: Iterable[Credential]) -> None:
        """Use these, from the next request on; who is at work under one that is no longer there is sent away."""
        before = {(scheme, digest): caller.static for scheme, digest, caller in self._known}
        numbers = dict(before)
        was_open, self._known = self.is_open, []
        for entry in credentials:
            digest = digest_of(entry.secret.encode())
            number = numbers.setdefault((entry.scheme, digest), next(self._numbers))
            caller = Caller(entry.role, entry.tenant_id, entry.scheme, entry.actor_id, static=number)
            self._known.append((entry.scheme, digest, caller))
        self._any_static = self._any_static or bool(self._known)
        if was_open and not self.is_open:
            self._closed()
        left = {caller.static for _, _, caller in self._known}
        for number in before.values():
            if number not in left:
                self._standing.send_away(number, "the credential was replaced")

    @property
    def is_open(self) -> bool:
        """Whether there never was a credential."""
        return not self._any_static and not self.keys.any_ever

    @property
    def supported(self) -> list[str]:
        """The schemes of the credentials there are."""
        stored = STORED_KEY_SCHEMES if self.keys.any_ever else ()
        return sorted({*stored}.union(scheme for scheme, _, _ in self._known))

    def authenticate(self, fields: Mapping[bytes, bytes]) -> Caller:
        """The caller behind these header fields (lower-case names). Raises ApiError 401, or 403 in open mode."""
        if self.is_open:
            self._open_server.check(fields)
            return _ANYBODY
        callers = [self._find(each) for each in presented(fields)]
        caller = next((each for each in callers if each is not None), None)
        if caller is None:
            raise self._unauthorized(lacking(fields, self._ways))
        return caller

    def check(self, caller: Caller) -> None:
        """Raises ApiError 401 when its credential lets nobody in any more: it did when the request's head came."""
        if caller.key_id is not None:
            self.keys.check(caller.key_id)
        elif not self._lets_in(caller):
            raise self._is_over(caller.static)

    def while_valid(self, caller: Caller) -> AbstractContextManager[None]:
        """Run the body for as long as the caller is let in: then the body is cancelled, and this raises ApiError 401.

        Raises it at once for one that is let in no longer. On public routes nobody is sent away.
        """
        if caller.key_id is not None:
            return self.keys.while_valid(caller.key_id)
        if caller is NOBODY:
            return nullcontext()
        self.check(caller)
        return self._standing.under(caller.static)

    def _lets_in(self, caller: Caller) -> bool:
        if caller is NOBODY:
            return True
        if caller.static is None:
            return self.is_open
        return any(known.static == caller.static for _, _, known in self._known)

    def _closed(self) -> None:
        self._standing.send_away(None, "the server needs credentials now")

    def _is_over(self, static: int | None) -> ApiError:
        return self._unauthorized(
            "the server needs credentials now" if static is None else "the credential is no longer valid"
        )

    def _unauthorized(self, message: str) -> ApiError:
        return ApiError(ErrorCode.UNAUTHORIZED, message, {"supported_auth": list(self.supported)})

    @property
    def _ways(self) -> list[str]:
        """How a credential may be sent, of those there are."""
        return [*{scheme: None for scheme, _, _ in self._known}, *(["stored_key"] if self.keys.any_ever else [])]

    def _find(self, sent: Presented) -> Caller | None:
        if sent.key_id is not None:
            return self.keys.find(sent.key_id, sent.secret)
        digest = digest_of(sent.secret)
        found: Caller | None = None
        for known_scheme, known, caller in self._known:
            if hmac.compare_digest(known, digest) and known_scheme == sent.scheme:
                found = caller
        return found


_ANYBODY = Caller(role=Role.ADMIN, tenant_id=None, actor_type="anonymous", actor_id="anonymous")
