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
    from oris.storage.sqlite.upgrade import migrate_file, plan_file

    path = settings.sqlite_db.resolve()
    if plan_only:
        pending = plan_file(path)
        click.echo(f"{path}: {len(pending)} to apply" if pending else f"{path}: up to date")
        for migration in pending:
            click.echo(f"  {migration.title} (for version {migration.min_program_version} or later)")
        return 0
    click.echo(f"{path}: {'open' if path.exists() else 'made'}")
    applied = migrate_file(path, SystemClock().wall_ms, warn)
    for migration in applied:
        click.echo(f"applied {migration.title}")
    click.echo(f"{path}: up to date")
    return 0
