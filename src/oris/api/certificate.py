"""What a certificate says of itself, as far as an operator must know it: which one it is, and when it is valid.

The standard library decodes only certificates that it has verified, and an expired one is to be told of, not refused.
So the dates are read here, by their place in the structure of RFC 5280.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. Times are Unix times in ms."""

    sha256: str
    """Its fingerprint, as `openssl x509 -fingerprint -sha256` shows it but in lower case and without colons."""
    not_before_ms: int
    not_after_ms: int


def first_certificate(pem: str) -> Certificate:
    """The first certificate of a PEM text: a server's own. Raises ValueError when there is none."""
    _, begin, rest = pem.partition(_BEGIN)
    body, end, _ = rest.partition(_END)
    if not begin or not end:
        raise ValueError("has no certificate in PEM format")
    try:
        der = ssl.PEM_cert_to_DER_cert(begin + body + end)
        not_before_ms, not_after_ms = _validity(der)
    except (ValueError, IndexError):
        raise ValueError("has a certificate that cannot be read") from None
    return Certificate(hashlib.sha256(der).hexdigest(), not_before_ms, not_after_ms)


def _validity(der: bytes) -> tuple[int, int]:
    """The fifth part of what is signed, or the fourth where the version is left out."""
    _, certificate, _ = _element(der, _SEQUENCE)
    _, rest, _ = _element(certificate, _SEQUENCE)
    if rest[0] == _VERSION:
        _, _, rest = _element(rest)
    for _ in ("serial number", "signature algorithm", "issuer"):
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest, _SEQUENCE)
    before_tag, before, rest = _element(validity)
    after_tag, after, _ = _element(rest)
    return _time_ms(before_tag, before), _time_ms(after_tag, after)


def _element(der: bytes, expected: int | None = None) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what follows it. Raises ValueError or IndexError."""
    tag, length, start = der[0], der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    end = start + length
    if end > len(der) or expected not in (None, tag):
        raise ValueError("not a certificate")
    return tag, der[start:end], der[end:]


def _time_ms(tag: int, content: bytes) -> int:
    if tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("not a time")
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # of two digits, 50 and more are of the last century
        text = ("20" if text < "5" else "19") + text
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp() * 1000)
