"""Rules that look at more than one setting, or at the machine."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from oris.config.one_line import one_line
from oris.config.settings import ROTATION
from oris.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oris.config.settings import Settings


ANCHOR_KEY_MIN = 32


def check_together(settings: Settings, sources: Mapping[str, str], *, serving: bool = True) -> None:
    """ConfigError when settings that are each allowed do not go together; changes and opens nothing.

    `serving`: for a server, or to tell how one would do; not for commands that listen nowhere.
    """
    if serving and not settings.sqlite_db.exists():
        # Keys may be stored in a database that is there: the server looks once it is open.
        check_exposure(settings, sources, any_key=False)
    _check_rotation(settings, sources)
    _check_distinct_addresses(settings, sources)
    _check_tls(settings, sources)
    _check_anchor_key(settings, sources)
    _check_room(settings, sources, "inbox_max_bytes", "body_max_bytes")
    _check_room(settings, sources, "inbox_max_commands", "batch_max")
    if settings.http_bodies_max_bytes is not None:
        _check_room(settings, sources, "http_bodies_max_bytes", "body_max_bytes")
    try:
        check_database_path(settings.sqlite_db)
    except ValueError as error:
        shown = one_line(str(settings.sqlite_db))
        raise ConfigError(f"{sources['sqlite_db']}: database {shown} {error}") from None


def check_exposure(settings: Settings, sources: Mapping[str, str], *, any_key: bool) -> None:
    """ConfigError when other machines could reach a server that lets everybody in; `any_key`: keys are stored."""
    if settings.has_credentials or any_key or settings.allow_insecure:
        return
    for name, address in (("server_addr", settings.server_addr), ("metrics_addr", settings.metrics_addr)):
        if address is not None and not address.is_loopback:
            raise ConfigError(
                f"{sources[name]}: {address} can be reached from other machines and no credential is set; set "
                "ORIS_API_AUTH_BEARER_TOKEN or ORIS_API_AUTH_API_KEY, make a key with `oris keys create`, listen on a "
                "loopback address such as 127.0.0.1, or set ORIS_ALLOW_INSECURE=true"
            )


def _check_rotation(settings: Settings, sources: Mapping[str, str]) -> None:
    for second, first in ROTATION.items():
        if getattr(settings, second) is not None and getattr(settings, first) is None:
            raise ConfigError(f"{sources[second]}: {second} is the second of a pair; set {first} too")


def _check_anchor_key(settings: Settings, sources: Mapping[str, str]) -> None:
    problem = anchor_key_problem(settings)
    if problem is not None:
        name, what = problem
        raise ConfigError(f"{sources[name]}: {what}")


def anchor_key_problem(settings: Settings) -> tuple[str, str] | None:
    """The setting that is at fault, and why; None: audit records can be deleted as they are to be."""
    key = settings.audit_anchor_key
    if key is not None and len(key.reveal()) < ANCHOR_KEY_MIN:
        return "audit_anchor_key", f"audit_anchor_key is too short; it must have at least {ANCHOR_KEY_MIN} characters"
    if settings.audit_retention_days and key is None:
        return "audit_retention_days", (
            "audit_retention_days deletes audit records and leaves signed anchors; set ORIS_AUDIT_ANCHOR_KEY too, a "
            f"secret of at least {ANCHOR_KEY_MIN} characters"
        )
    return None


def _check_distinct_addresses(settings: Settings, sources: Mapping[str, str]) -> None:
    if settings.metrics_addr == settings.server_addr and settings.server_addr.port != 0:
        raise ConfigError(
            f"{sources['metrics_addr']}: {settings.metrics_addr} is the API's own address, which already "
            "serves /metrics; set another one, or none"
        )


def _check_tls(settings: Settings, sources: Mapping[str, str]) -> None:
    cert, key = settings.tls_cert, settings.tls_key
    if (cert is None) != (key is None):
        given, missing = ("tls_cert", "tls_key") if key is None else ("tls_key", "tls_cert")
        raise ConfigError(f"{sources[given]}: TLS needs {missing} too (ORIS_{missing.upper()})")
    if settings.tls_client_ca is not None and cert is None:
        raise ConfigError(
            f"{sources['tls_client_ca']}: client certificates need TLS; set ORIS_TLS_CERT and ORIS_TLS_KEY too"
        )


def _check_room(settings: Settings, sources: Mapping[str, str], room: str, content: str) -> None:
    """There must be room for one request of the allowed size, or that request could never be served."""
    space, needed = getattr(settings, room), getattr(settings, content)
    if space < needed:
        raise ConfigError(
            f"{sources[room]}: {room} {space} is not allowed; it must be at least {content}, {needed} "
            f"({sources[content]})"
        )


def check_database_path(path: Path) -> None:
    """ValueError, its text following the path in a sentence, when no database can be written there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        _check_directory(path.parent)
        return
    except OSError as error:
        raise ValueError(f"cannot be reached: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise ValueError("is not a file; it must be the path of a database file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise ValueError("is not writable; it must be a file this user may read and write")
    _check_directory(path.parent)  # where SQLite puts the write-ahead log


def _check_directory(directory: Path) -> None:
    shown = one_line(str(directory))
    if not directory.is_dir():
        raise ValueError(f"cannot be made; directory {shown} must exist")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ValueError(f"cannot be written; directory {shown} must be writable for this user")
