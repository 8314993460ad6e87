"""The values settings are made of that are more than a number or a word: addresses and secrets."""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_PORT = re.compile(r"[0-9]{1,5}")
ADDRESS_FORM = "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, with a port from 0 (any free one) to 65535"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `host` is an IP address or a host name, without brackets; port 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. Names are not looked up: `localhost` alone counts."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


def parse_address(text: str) -> Address:
    """The address written as `HOST:PORT`; ValueError, with the form, for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(ADDRESS_FORM)
    if host.startswith("[") and host.endswith("]"):
        return Address(str(_ip_version_6(host[1:-1])), int(port))
    if not _is_host(host):
        raise ValueError(ADDRESS_FORM)
    return Address(host, int(port))


def _ip_version_6(text: str) -> ipaddress.IPv6Address:
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(ADDRESS_FORM) from None


def _is_host(text: str) -> bool:
    last_part = text.rpartition(".")[2]
    if last_part.isdigit():  # then it can only be meant as an IPv4 address
        try:
            ipaddress.IPv4Address(text)
        except ValueError:
            return False
        return True
    return len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None


class Secret:
    """A text that shows itself to nobody by accident: printed, formatted or logged it is `(hidden)`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself."""
        return self._text

    def matches(self, candidate: str) -> bool:
        """Whether the candidate is this secret, in a time that does not tell how much of it was right."""
        return hmac.compare_digest(self._text.encode(), candidate.encode("utf-8", "surrogatepass"))

    def __str__(self) -> str:
        return "(hidden)"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._text)

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not to be copied into a file or a message")
