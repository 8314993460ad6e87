"""`python -m oris keys`: API keys on a database that no server has open; the first one above all."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from oris.cli.flags import load_settings, settings_flags, warn
from oris.config.one_line import one_line
from oris.errors import ConfigError
from oris.storage.backends import exists, location

if TYPE_CHECKING:
    from oris.audit_actions import ControlAction
    from oris.config.settings import Settings
    from oris.core.api_key import ApiKey
    from oris.core.audit import Audit
    from oris.core.commands import Command
    from oris.core.replies import Reply
    from oris.engine.engine import Engine
    from oris.storage.pages import Place

T = TypeVar("T")
_ROLES = ("admin", "operator", "client", "worker")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_TENANT = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NO_ADMIN = (
    "oris: no key of this database is for an admin without a tenant, so nobody can administer the server; "
    "make one with --role admin, or configure a static credential"
)


@click.group()
def keys() -> None:
    """Make, list and revoke API keys while no server runs."""


@keys.command()
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What the key allows.")
@click.option("--tenant", metavar="TENANT", help="Bind the key to a tenant; it cannot see other tenants.")
@click.option("--expires-in", metavar="DURATION", help="How long the key is valid, such as 90d, 12h, 30m or 45s.")
@click.option("--expires-at", metavar="TIME", help="When the key expires, such as 2031-01-31T00:00:00Z.")
@click.option("--create", "make_database", is_flag=True, help="Make the database if it does not exist.")
@settings_flags
@click.pass_context
def create(
    context: click.Context,
    role: str,
    tenant: str | None,
    expires_in: str | None,
    expires_at: str | None,
    make_database: bool,
) -> int:
    """Make a key, and print its id and its secret. The secret is shown only now, and is not stored."""
    settings = load_settings(context, serving=False)
    if tenant is not None and not _TENANT.fullmatch(tenant):
        raise click.BadParameter("must be 1 to 128 characters of A-Z a-z 0-9 . _ : -", param_hint="--tenant")
    if expires_in is not None and expires_at is not None:
        raise click.UsageError("give --expires-in or --expires-at, not both")
    left_ms = None if expires_in is None else _duration_ms(expires_in)
    end_ms = None if expires_at is None else _time_ms(expires_at)

    from oris.api.key_ring import new_key
    from oris.core.commands import CreateKey
    from oris.core.replies import KeyCreated
    from oris.ids import TenantId
    from oris.wire.times import rfc3339_or_none

    if not make_database and not exists(settings):
        shown = one_line(str(location(settings).resolve()))
        raise ConfigError(f"{shown}: this database does not exist; --create makes it")
    key_id, secret, digest = new_key()
    is_kept_out = False

    async def make(engine: Engine) -> Reply:
        nonlocal is_kept_out
        expires_ms = end_ms if left_ms is None else engine.clock.calendar_ms() + left_ms
        command = CreateKey(key_id, role, None if tenant is None else TenantId(tenant), digest, expires_ms)  # type: ignore[arg-type]
        reply = await _ask(engine, command, _audit("apikey.create", key_id, tenant or ""))
        is_kept_out = not _has_static_admin(settings) and not await _has_admin(engine)
        return reply

    reply = _offline(settings, make)
    if not isinstance(reply, KeyCreated):
        _refused(reply)
    key = reply.key
    click.echo(f"key_id   {key.key_id}")
    click.echo(f"secret   {secret}")
    click.echo(f"header   Authorization: Bearer {key.key_id}.{secret}")
    click.echo(f"role     {key.role}")
    click.echo(f"tenant   {key.tenant_id or '-'}")
    click.echo(f"expires  {rfc3339_or_none(key.expires_ms) or 'never'}")
    click.echo(f"stored   {one_line(str(location(settings).resolve()))}")
    if is_kept_out:
        click.echo(_NO_ADMIN, err=True)
    return 0


@keys.command(name="list")
@settings_flags
@click.pass_context
def list_(context: click.Context) -> int:
    """Print all keys, newest first, without their secrets."""
    settings = _of_a_database(context)

    async def read(engine: Engine) -> list[ApiKey]:
        found: list[ApiKey] = []
        after: Place | None = None
        while True:
            page = await engine.reads.api_keys(None, after, 200)
            found.extend(page.items)
            after = page.next
            if after is None:
                return found

    for key in _offline(settings, read):
        click.echo("  ".join(_columns(key)))
    return 0


@keys.command()
@click.argument("key_id")
@settings_flags
@click.pass_context
def revoke(context: click.Context, key_id: str) -> int:
    """Revoke a key permanently. Repeating it is harmless."""
    settings = _of_a_database(context)

    from oris.core.commands import RevokeKey
    from oris.core.replies import KeyRevoked
    from oris.ids import KEY_ID, KeyId

    if not re.fullmatch(KEY_ID, key_id):
        raise click.BadParameter("is not a key id; `oris keys list` shows all key ids", param_hint="KEY_ID")

    async def end(engine: Engine) -> Reply:
        return await _ask(engine, RevokeKey(KeyId(key_id), None), _audit("apikey.revoke", key_id, ""))

    reply = _offline(settings, end)
    if not isinstance(reply, KeyRevoked):
        _refused(reply)
    click.echo(f"revoked {key_id}")
    return 0


def _of_a_database(context: click.Context) -> Settings:
    """The settings, for a command that makes no database."""
    settings = load_settings(context, serving=False)
    if not exists(settings):
        raise ConfigError(f"{one_line(str(location(settings)))}: this database does not exist")
    return settings


def _offline(settings: Settings, work: Callable[[Engine], Awaitable[T]]) -> T:
    """What `work` answers, on the database alone. Raises ConfigError."""
    import trio

    from oris.errors import StoreError
    from oris.server.offline import run_offline
    from oris.storage.open_store import InUse

    try:
        return trio.run(run_offline, settings, work, warn)
    except InUse as error:
        raise ConfigError(f"{error}; stop the server, or use POST /v1/api-keys") from None
    except StoreError as error:
        raise ConfigError(f"{one_line(str(location(settings)))}: {error}") from error


def _has_static_admin(settings: Settings) -> bool:
    """Whether these settings let an admin in; a server may be started with others."""
    credentials = (
        (settings.api_auth_bearer_token, settings.api_auth_bearer_role),
        (settings.api_auth_api_key, settings.api_auth_api_key_role),
    )
    return any(secret is not None and role == "admin" for secret, role in credentials)


async def _has_admin(engine: Engine) -> bool:
    keys = (await engine.reads.stored_keys(engine.clock.calendar_ms())).keys
    return any(key.role == "admin" and key.tenant_id is None for key in keys)


async def _ask(engine: Engine, command: Command, audit: Audit) -> Reply:
    from oris.engine.unit import Unit

    return (await engine.ask(Unit("write", [command], audit=audit))).replies[0]


def _audit(action: ControlAction, key_id: str, tenant: str) -> Audit:
    """Whoever may write the database may do all; the name is what the machine calls him."""
    from oris.core.audit import Audit

    return Audit("local", f"uid:{os.getuid()}", "admin", tenant, "cli", action, "api_key", key_id, "")


def _duration_ms(text: str) -> int:
    matched = _DURATION.fullmatch(text)
    if matched is None:
        raise click.BadParameter("must be like 90d, 12h, 30m or 45s", param_hint="--expires-in")
    return int(matched[1]) * _UNITS_MS[matched[2]]


def _time_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter("must be like 2031-01-31T00:00:00Z", param_hint="--expires-at")

    from oris.wire.times import LAST_MS, to_ms

    end_ms = to_ms(moment)
    if end_ms > LAST_MS:
        raise click.BadParameter("must be at most the end of the year 9999", param_hint="--expires-at")
    return end_ms


def _columns(key: ApiKey) -> tuple[str, ...]:
    from oris.wire.times import rfc3339, rfc3339_or_none

    end = f"expires {rfc3339_or_none(key.expires_ms) or 'never'}"
    return (
        key.key_id,
        f"{key.role:<8}",
        f"tenant {key.tenant_id or '-'}",
        f"created {rfc3339(key.created_ms)}",
        f"used {rfc3339_or_none(key.used_ms) or 'never'}",
        end if key.revoked_ms is None else f"revoked {rfc3339(key.revoked_ms)}",
    )


def _refused(reply: Reply) -> NoReturn:
    from oris.core.replies import Refusal

    assert isinstance(reply, Refusal)
    field = (reply.details or {}).get("field")
    raise click.ClickException(f"{field}: {reply.message}" if field else reply.message)
