"""`python -m oris demo`: the main job on real input, with a worker killed on the way."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the database, the journal and the logs. Default: a new temporary folder.",
)
def demo(folder: Path | None) -> int:
    """Index this project's files with two workers, kill one, and show that no recorded step is lost or repeated."""
    import shutil
    from tempfile import mkdtemp

    from rich.console import Console

    from oris.demo.run import run_demo
    from oris.demo.screen import Screen

    is_own = folder is None
    folder = Path(mkdtemp(prefix="oris-demo-")) if folder is None else folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise click.UsageError(f"the folder {folder} is not empty; name an empty one")
    try:
        return run_demo(folder, Screen(Console()))
    except KeyboardInterrupt:
        if is_own:
            shutil.rmtree(folder, ignore_errors=True)
        raise
