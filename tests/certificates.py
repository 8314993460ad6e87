"""Certificates as an operator would have them: files in PEM, signed by a CA of one's own."""

from __future__ import annotations

import ssl
from datetime import datetime
from functools import cached_property
from pathlib import Path

import trustme

from oris.api.tls import TlsFiles


class Authority:
    """A CA, and what it signs. Made when it is first needed."""

    def __init__(self, parent: Authority | None = None) -> None:
        self._parent = parent

    @cached_property
    def _ca(self) -> trustme.CA:
        return trustme.CA() if self._parent is None else self._parent._ca.create_child_ca()

    def child(self) -> Authority:
        """A CA that this one has signed."""
        return Authority(self)

    def write_ca(self, path: Path) -> Path:
        """Its own certificate."""
        path.write_bytes(self._ca.cert_pem.bytes())
        return path

    def write(
        self,
        folder: Path,
        name: str = "server",
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        client_ca: Path | None = None,
    ) -> TlsFiles:
        """A new certificate for this machine, and its key; over those that are there."""
        folder.mkdir(exist_ok=True)
        made = self._ca.issue_cert("127.0.0.1", "localhost", not_before=not_before, not_after=not_after)
        files = TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", client_ca)
        files.cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        files.key.write_bytes(made.private_key_pem.bytes())
        return files

    def client_context(self, shows: TlsFiles | None = None) -> ssl.SSLContext:
        """For a client that trusts this CA alone, and maybe has a certificate itself."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        if shows is not None:
            context.load_cert_chain(shows.cert, shows.key)
        return context


def settings_of(files: TlsFiles) -> dict[str, str]:
    """The variables that name these files."""
    named = {"ORIS_TLS_CERT": str(files.cert), "ORIS_TLS_KEY": str(files.key)}
    return named if files.client_ca is None else named | {"ORIS_TLS_CLIENT_CA": str(files.client_ca)}
