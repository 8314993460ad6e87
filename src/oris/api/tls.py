"""TLS of the API's address: from three files to what a connection is encrypted with, all or nothing.

A `ServerTls` is what the listener holds. A reload puts another `Credentials` into it: handshakes that begin afterwards
use that, connections that stand keep theirs. A new context also has new keys for session tickets, so that nobody
resumes a session that an older client CA allowed.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oris.api.certificate import Certificate, first_certificate
from oris.config.one_line import one_line
from oris.errors import ConfigError

FILE_MAX_BYTES = 1_048_576
PROTOCOLS = ("http/1.1",)
"""What is offered by ALPN. HTTP/2 is not: connections, disconnects and undelivered answers are those of HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the operator put them."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one set of files came to."""

    files: TlsFiles
    context: ssl.SSLContext
    certificate: Certificate
    digest: bytes = field(repr=False)
    """Of the files' contents: the same again are no change."""

    def warning(self, now_ms: int) -> str | None:
        """What clients will hold against the certificate, if anything."""
        if now_ms < self.certificate.not_before_ms:
            return "the certificate is not valid yet"
        if now_ms > self.certificate.not_after_ms:
            return "the certificate has expired"
        return None


class ServerTls:
    """The credentials in force. `on_refused` is told of every client there is no TLS with, and why."""

    def __init__(self, credentials: Credentials, on_refused: Callable[[str, str], None]) -> None:
        self.credentials = credentials
        self.on_refused = on_refused

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake."""
        return self.credentials.context

    @property
    def asks_clients(self) -> bool:
        """Whether a client must have a certificate too."""
        return self.credentials.files.client_ca is not None


def load_credentials(files: TlsFiles) -> Credentials:
    """Reads the files, and checks that they go together. Blocks. Raises ConfigError with one line."""
    contents = _read_all(files)
    # Nobody is verified with the chain: it is only seen whether OpenSSL can read it.
    certificate = _add_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "tls_cert", files.cert, contents[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(list(PROTOCOLS))
    _load_chain(context, files)
    if files.client_ca is not None:
        _add_certificates(context, "tls_client_ca", files.client_ca, contents[2])
        # Whoever one of these CAs has signed, whether they are roots or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED
    if _read_all(files) != contents:
        raise _wrong("tls_cert", files.cert, "or its key changed while it was read")
    return Credentials(files, context, certificate, _digest(contents))


def _load_chain(context: ssl.SSLContext, files: TlsFiles) -> None:
    def no_passphrase() -> str:
        raise _wrong("tls_key", files.key, "needs a passphrase; use a key without one")

    try:
        context.load_cert_chain(files.cert, files.key, no_passphrase)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            shown = one_line(str(files.cert))
            raise _wrong("tls_key", files.key, f"does not belong to the certificate in {shown}") from None
        if error.reason is not None and error.reason.startswith(("EE_", "CA_")):
            raise _wrong("tls_cert", files.cert, f"is not allowed by OpenSSL: {error.reason}") from None
        raise _wrong("tls_key", files.key, "has no readable private key in PEM format") from None
    except OSError as error:
        raise _wrong("tls_key", files.key, f"cannot be read: {one_line(error.strerror or str(error))}") from None


def _add_certificates(context: ssl.SSLContext, name: str, path: Path, content: bytes) -> Certificate:
    """All certificates of a PEM file, as those the context trusts; the first of them. Raises ConfigError."""
    pem = content.decode("ascii", "ignore")  # comments may be in any language
    try:
        certificate = first_certificate(pem)
        context.load_verify_locations(cadata=pem)
    except ssl.SSLError as error:
        reason = one_line(error.reason or str(error))
        raise _wrong(name, path, f"has a certificate that cannot be read: {reason}") from None
    except ValueError as error:
        raise _wrong(name, path, str(error)) from None
    return certificate


def _read_all(files: TlsFiles) -> tuple[bytes, ...]:
    cert, key = _read("tls_cert", files.cert), _read("tls_key", files.key)
    return (cert, key) if files.client_ca is None else (cert, key, _read("tls_client_ca", files.client_ca))


def _read(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise _wrong(name, path, f"cannot be read: {one_line(error.strerror or str(error))}") from None
    if len(content) > FILE_MAX_BYTES:
        raise _wrong(name, path, f"is larger than {FILE_MAX_BYTES} bytes")
    return content


def _digest(contents: tuple[bytes, ...]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).digest()


def _wrong(name: str, path: Path, what: str) -> ConfigError:
    return ConfigError(f"ORIS_{name.upper()}: file {one_line(str(path))} {what}")
