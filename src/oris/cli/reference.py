"""`python -m oris reference`: the reference pages of the documentation that are made from the code."""

from __future__ import annotations

import click


@click.command()
@click.argument("page", type=click.Choice(["metrics", "events"]))
def reference(page: str) -> int:
    """Print a page of the documentation: all metrics, or all events, as Markdown."""
    from oris.reference.events_page import events_page
    from oris.reference.metrics_page import metrics_page

    click.echo(metrics_page() if page == "metrics" else events_page(), nl=False)
    return 0
