"""What a server without credentials answers: programs of this machine, and no web page of anybody else.

A browser carries out requests for whatever page it shows, also to this machine, and sends a simple POST without asking.
It says which page it was: such requests are refused by their origin. A page whose own name was pointed to this machine
(DNS rebinding) is of the same origin as the server, and is refused by that name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from oris.errors import ApiError, ErrorCode, ForbiddenReason

_MAKE_A_KEY = 'make a key on the machine of the server (POST /v1/api-keys with {"role": "admin"}) and send it'
_WILDCARDS = ("0.0.0.0", "::")
_OTHER_SITES = (b"cross-site", b"same-site")
_ORIGIN = re.compile(rb"(https?)://(.+)", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class OpenServer:
    """`hosts`: addresses and names it answers to, beside `localhost` and loopback addresses. When a wildcard address
    (`0.0.0.0`, `::`) is among them, any address will do, but no other name. `any_host`: every name will do.
    """

    def __init__(self, hosts: Iterable[str] = (), *, any_host: bool = False) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._any_address = not self._hosts.isdisjoint(_WILDCARDS)
        self._any_host = any_host

    def check(self, fields: Mapping[bytes, bytes]) -> None:
        """Raises ApiError 403 for a request with these header fields (lower-case names) that it does not answer."""
        for name in fields:
            if name == b"forwarded" or name.startswith(b"x-forwarded-"):
                raise _refused(
                    "forwarded_header",
                    f"this server has no credentials, so it refuses requests that came through a proxy; {_MAKE_A_KEY}",
                )
        host = fields.get(b"host")
        if host is not None and not self._any_host and not self._is_here(_name_of(host)):
            raise _refused(
                "foreign_host",
                f"this server has no credentials, so it accepts local host names only; {_MAKE_A_KEY}, "
                "or set ORIS_ALLOW_INSECURE=true in a network where nobody browses",
            )
        if _is_of_another_page(fields, host):
            raise _refused(
                "foreign_origin",
                f"this server has no credentials, so it refuses requests of web pages of other origins; {_MAKE_A_KEY} "
                "from the page's own server",
            )

    def _is_here(self, name: str) -> bool:
        if name == "localhost" or name in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or address.is_loopback


def _is_of_another_page(fields: Mapping[bytes, bytes], host: bytes | None) -> bool:
    """Whether a browser sends it for a page of another origin. Other programs send neither field."""
    if fields.get(b"sec-fetch-site", b"").strip().lower() in _OTHER_SITES:
        return True
    origin = fields.get(b"origin")
    if origin is None:
        return False
    found = _ORIGIN.fullmatch(origin)  # `null` is the origin of pages that may be anybody's
    if found is None or host is None:
        return True
    default_port = _DEFAULT_PORTS[found[1].lower()]
    return _authority(found[2], default_port) != _authority(host, default_port)


def _authority(text: bytes, default_port: bytes) -> bytes:
    return text.strip().lower().removesuffix(default_port)


def _name_of(host: bytes) -> str:
    """The name in a Host field: without port, brackets and the dot at the end."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def _refused(reason: ForbiddenReason, message: str) -> ApiError:
    return ApiError(ErrorCode.FORBIDDEN, message, {"reason": reason})
