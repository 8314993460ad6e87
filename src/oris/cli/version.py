"""`python -m oris version`."""

from __future__ import annotations

import platform
import sqlite3

import click

from oris.config.version import program_version


@click.command()
def version() -> int:
    """Print the versions of Oris, Python and SQLite."""
    click.echo(f"oris {program_version()}")
    click.echo(f"python {platform.python_version()}")
    click.echo(f"sqlite {sqlite3.sqlite_version}")
    return 0
