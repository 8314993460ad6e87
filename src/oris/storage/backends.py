"""The one place that knows which store the settings name. Everything else works on what comes out of here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from oris.config.settings import Settings
    from oris.ids import NodeId
    from oris.storage.audit_trail import AuditTrail
    from oris.storage.migrate import Migration
    from oris.storage.open_store import OpenStore
    from oris.storage.sqlite.connect import Tuning


async def open_store(settings: Settings, now_ms: Callable[[], int], node: NodeId, *, serves: bool = True) -> OpenStore:
    """Lock, open and migrate. `now_ms` is the engine's clock, `serves` False for a command that only passes by.

    A checkpoint; cancelled, everything is closed again. Raises ConfigError: InUse while a server has the database, no
    database of ours, migrations.
    """
    from oris.storage.sqlite.store import SqliteStore

    return await SqliteStore.open(
        settings.sqlite_db,
        now_ms,
        node_id=node,
        migrate="check" if settings.migrate == "check" else "auto",
        tuning=_tuning(settings, serves=serves),
    )


def location(settings: Settings) -> Path:
    """Where the database is, as the operator named it."""
    return settings.sqlite_db


def exists(settings: Settings) -> bool:
    """Whether there is a database already."""
    return settings.sqlite_db.exists()


def migrate_store(settings: Settings, now_ms: Callable[[], int], warn: Callable[[str], None]) -> tuple[Migration, ...]:
    """Bring the database up to date while no server has it; made when missing. The answer is what was applied.

    `warn` is told what the operator should know of the database. Raises ConfigError.
    """
    from oris.storage.sqlite.upgrade import migrate_file

    return migrate_file(settings.sqlite_db.resolve(), now_ms, warn)


def pending_migrations(settings: Settings) -> tuple[Migration, ...]:
    """What `migrate_store` would apply. Takes no lock and changes nothing; raises ConfigError."""
    from oris.storage.sqlite.upgrade import plan_file

    return plan_file(settings.sqlite_db.resolve())


def open_trail(settings: Settings) -> AbstractContextManager[AuditTrail]:
    """The audit trail, for reading alone, also beside a server. Raises ConfigError."""
    from oris.storage.sqlite import audit_trail

    return audit_trail.open_trail(settings.sqlite_db)


def adopt(settings: Settings) -> Path | None:
    """Have the next start take the files as they are; the answer is the log that it will find. Raises ConfigError."""
    from oris.storage.sqlite import guard

    return guard.adopt(settings.sqlite_db.resolve())


def _tuning(settings: Settings, *, serves: bool) -> Tuning:
    from oris.storage.sqlite.connect import Tuning

    reserve = settings.disk_reserve_bytes
    return Tuning(
        synchronous="normal" if settings.sqlite_synchronous == "normal" else "full",
        reserve=("auto" if reserve is None else reserve) if serves else "as_it_is",
    )
