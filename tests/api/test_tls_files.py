"""What is read from the operator's TLS files, and what is said of those that will not do."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from oris.api import tls
from oris.api.certificate import first_certificate
from oris.api.tls import TlsFiles, load_credentials
from oris.errors import ConfigError

from ..certificates import Authority

AUTHORITY = Authority()
DATES = [
    (datetime(1950, 1, 1, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (datetime(2000, 2, 29, 1, 2, 3, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (datetime(2020, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
]


def milliseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1000


@pytest.mark.parametrize(("before", "after"), DATES)
def test_a_certificate_tells_which_it_is_and_when_it_is_valid(
    tmp_path: Path, before: datetime, after: datetime
) -> None:
    files = AUTHORITY.write(tmp_path, not_before=before, not_after=after)
    read = first_certificate(files.cert.read_text())
    true = x509.load_pem_x509_certificate(files.cert.read_bytes())
    assert read.sha256 == true.fingerprint(hashes.SHA256()).hex()
    assert (read.not_before_ms, read.not_after_ms) == (milliseconds(before), milliseconds(after))


def test_a_certificate_that_is_cut_off_is_an_error_and_no_crash(tmp_path: Path) -> None:
    pem = AUTHORITY.write(tmp_path).cert.read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    first_certificate(ssl.DER_cert_to_PEM_cert(der))
    for size in range(len(der)):
        with pytest.raises(ValueError, match=r"^has a certificate that cannot be read$"):
            first_certificate(ssl.DER_cert_to_PEM_cert(der[:size]))


def test_what_stands_around_the_certificate_does_not_matter(tmp_path: Path) -> None:
    files = AUTHORITY.write(tmp_path)
    plain = load_credentials(files).certificate
    files.cert.write_text("für Oris\n" + files.cert.read_text() + "Ende…\n")
    assert load_credentials(files).certificate == plain


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_text("")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


def broken(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "AAAA\n", *lines[4:]]))


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def huge(path: Path) -> None:
    path.write_text(path.read_text() + "\n" * tls.FILE_MAX_BYTES)


def another(path: Path) -> None:
    """A key of another certificate."""
    path.write_bytes(AUTHORITY.write(path.parent / "other").key.read_bytes())


def weak(path: Path) -> None:
    """An RSA certificate that OpenSSL's own rules forbid, with its key beside it."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, *DATES[1]).sign(key, hashes.SHA256())
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    path.with_suffix(".key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


def encrypted(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"passphrase")
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("cert", missing, "cannot be read: No such file or directory"),
        ("cert", directory, "cannot be read: Is a directory"),
        ("cert", empty, "has no certificate in PEM format"),
        ("cert", binary, "has no certificate in PEM format"),
        ("cert", broken, "has a certificate that cannot be read"),
        ("cert", weak, "is not allowed by OpenSSL: EE_KEY_TOO_SMALL"),
        ("cert", huge, "is larger than 1048576 bytes"),
        ("key", missing, "cannot be read: No such file or directory"),
        ("key", empty, "has no readable private key in PEM format"),
        ("key", binary, "has no readable private key in PEM format"),
        ("key", broken, "has no readable private key in PEM format"),
        ("key", another, "does not belong to the certificate in"),
        ("key", encrypted, "needs a passphrase; use a key without one"),
        ("client_ca", missing, "cannot be read: No such file or directory"),
        ("client_ca", empty, "has no certificate in PEM format"),
        ("client_ca", broken, "has a certificate that cannot be read"),
    ],
)
def test_a_file_that_will_not_do_is_one_line_that_names_it(
    tmp_path: Path, name: str, spoil: Callable[[Path], None], told: str
) -> None:
    files = AUTHORITY.write(tmp_path, client_ca=AUTHORITY.write_ca(tmp_path / "ca.pem"))
    load_credentials(files)
    path = getattr(files, name)
    spoil(path)
    with pytest.raises(ConfigError) as caught:
        load_credentials(files)
    assert str(caught.value).startswith(f"ORIS_TLS_{name.upper()}: file {path} {told}")
    assert str(caught.value).isprintable()


def test_files_that_change_while_they_are_read_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = AUTHORITY.write(tmp_path)
    load_chain = tls._load_chain

    def rotate_within(context: ssl.SSLContext, read: TlsFiles) -> None:
        AUTHORITY.write(tmp_path)
        load_chain(context, read)

    monkeypatch.setattr(tls, "_load_chain", rotate_within)
    with pytest.raises(ConfigError, match="changed while it was read"):
        load_credentials(files)


def test_a_certificate_out_of_its_time_is_loaded_with_a_warning(tmp_path: Path) -> None:
    before, after = DATES[1]
    loaded = load_credentials(AUTHORITY.write(tmp_path, not_before=before, not_after=after))
    assert loaded.warning(milliseconds(before) - 1) == "the certificate is not valid yet"
    assert loaded.warning(milliseconds(before)) is None
    assert loaded.warning(milliseconds(after)) is None
    assert loaded.warning(milliseconds(after) + 1) == "the certificate has expired"


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    files = AUTHORITY.write(tmp_path)
    assert files.key.read_text().splitlines()[1] not in repr(load_credentials(files))
