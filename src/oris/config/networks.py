"""IP networks in settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

NETWORKS_FORM = "IP addresses and networks, separated by commas, such as 10.0.0.7,192.168.0.0/16,fd00::/8"


@dataclass(frozen=True, slots=True)
class Networks:
    """A set of IP addresses."""

    members: tuple[IpNetwork, ...] = ()

    def __contains__(self, address: object) -> bool:
        return any(address in network for network in self.members)

    def __bool__(self) -> bool:
        return bool(self.members)

    def __str__(self) -> str:
        return ",".join(map(str, self.members))


def parse_networks(text: str) -> Networks:
    """The networks written as `A,B,…`; ValueError, with the form, for anything else."""
    try:
        return Networks(tuple(ipaddress.ip_network(part.strip()) for part in text.split(",")))
    except ValueError as error:
        detail = f" ({error})" if "host bits" in str(error) else ""
        raise ValueError(NETWORKS_FORM + detail) from None
