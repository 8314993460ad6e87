"""`python -m oris adopt`: take database files as they are, once."""

from __future__ import annotations

import click

from oris.cli.flags import load_settings, settings_flags
from oris.config.one_line import one_line
from oris.errors import ConfigError


@click.command()
@settings_flags
@click.pass_context
def adopt(context: click.Context) -> int:
    """Let the next start open a database that the server refuses: a copy without its log, or a log of unknown origin.

    A log that lies beside the database is applied to it then: move away what does not belong there first.
    """
    settings = load_settings(context, serving=False)
    from oris.storage import backends

    path = backends.location(settings).resolve()
    if not path.exists():
        raise ConfigError(f"{one_line(str(path))}: there is no database")

    log = backends.adopt(settings)
    with_log = f" with its log {one_line(str(log))}" if log is not None else ", without a log"
    click.echo(f"{one_line(str(path))} is opened as it is at the next start{with_log}")
    return 0
