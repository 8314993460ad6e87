"""`python -m oris config`: what is in force and why, or the reference page."""

from __future__ import annotations

import click

from oris.cli.flags import load_all, print_warnings, settings_flags
from oris.config.printing import as_json, as_markdown, as_text


@click.command()
@click.option("--json", "as_what", flag_value="json", help="Print one JSON object, with the variables as names.")
@click.option("--markdown", "as_what", flag_value="markdown", help="Print the reference page of all settings.")
@settings_flags
@click.pass_context
def config(context: click.Context, as_what: str | None) -> int:
    """Print every setting: value, source, unit, default, meaning. Secrets are hidden."""
    if as_what == "markdown":
        click.echo(as_markdown(), nl=False)
        return 0
    loaded = load_all(context)
    print_warnings(loaded)
    click.echo(as_json(loaded) if as_what == "json" else as_text(loaded))
    return 0
