"""`python -m oris migrate`: bring the database up to date, or tell what that would do."""

from __future__ import annotations

import click

from oris.cli.flags import load_settings, settings_flags, warn


@click.command()
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be applied; change nothing.")
@settings_flags
@click.pass_context
def migrate(context: click.Context, plan_only: bool) -> int:
    """Apply all pending migrations, each in one transaction. No server may have the database open."""
    settings = load_settings(context)

    from oris.clock import SystemClock
    from oris.storage.backends import exists, location, migrate_store, pending_migrations

    path = location(settings).resolve()
    if plan_only:
        pending = pending_migrations(settings)
        click.echo(f"{path}: {len(pending)} to apply" if pending else f"{path}: up to date")
        for migration in pending:
            click.echo(f"  {migration.title} (for version {migration.min_program_version} or later)")
        return 0
    click.echo(f"{path}: {'open' if exists(settings) else 'made'}")
    applied = migrate_store(settings, SystemClock().wall_ms, warn)
    for migration in applied:
        click.echo(f"applied {migration.title}")
    click.echo(f"{path}: up to date")
    return 0
