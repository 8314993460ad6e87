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
    """Let the next start open a database that the server refuses, such as a copy without its log.

    The next start applies any log beside the database to it. First move away a log that belongs to another database.
    """
    settings = load_settings(context, serving=False)
    from oris.storage import backends

    path = backends.location(settings).resolve()
    if not path.exists():
        raise ConfigError(f"{one_line(str(path))}: this database does not exist")

    log = backends.adopt(settings)
    with_log = f" with the log {one_line(str(log))}" if log is not None else ", without a log"
    click.echo(f"the next start opens {one_line(str(path))} as it is{with_log}")
    return 0
