"""The group of commands, and how each of its ends becomes an exit code.

A command is one file beside this one, imported and listed here. What is heavy it imports inside its function, so
that `version` and `--help` stay quick. It returns its exit code.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from oris.cli.adopt import adopt
from oris.cli.audit import audit
from oris.cli.config import config
from oris.cli.demo import demo
from oris.cli.flags import load_settings, load_sources, settings_flags
from oris.cli.keys import keys
from oris.cli.migrate import migrate
from oris.cli.reference import reference
from oris.cli.simulate import simulate
from oris.cli.version import version
from oris.config.one_line import one_line
from oris.errors import ConfigError

_COMMANDS = (adopt, audit, config, demo, keys, migrate, reference, simulate, version)
_WRONG_USE = 2
_INTERRUPTED = 130


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@settings_flags
@click.pass_context
def oris(context: click.Context) -> int:
    """Run the Oris server, or one of the commands."""
    if context.invoked_subcommand is not None:
        return 0
    settings, sources = load_settings(context), load_sources(context)

    from oris.server import run

    return run(settings, sources)


for _command in _COMMANDS:
    oris.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. A mistake in its use or in the configuration is one line on stderr and 2."""
    try:
        return int(oris.main(arguments, prog_name="oris", standalone_mode=False) or 0)
    except ConfigError as error:
        return _fail(str(error), _WRONG_USE)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED


def _fail(text: str, code: int) -> int:
    click.echo(f"oris: {one_line(text, limit=2000)}", err=True)
    return code
