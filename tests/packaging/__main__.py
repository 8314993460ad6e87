"""`make pythons`: what is promised of Python versions, tried on those that this machine has.

On the oldest and on the newest Python that the project may be used with (with `--each` on every one) a fresh virtual
environment gets the project as pyproject.toml says; there a server boots and README.md's first job runs, and then the
tests run that need neither processes nor the simulator. Which ones were run is said, and so is why others were not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click

from .pythons import ROOT, Python, ask, candidates, choose, minors_tested, oldest_minor, places

FAST = ("tests/config", "tests/storage", "tests/observability", "tests/supervisor", "tests/api")
"""A store on real files, tasks, logs, and HTTP in memory: what a new Python breaks shows there."""
FIRST_JOB = "tests/packaging/test_first_minutes.py"


@click.command()
@click.option("--each", is_flag=True, help="Try every Python of this machine that the project is for.")
@click.option("--folder", type=click.Path(path_type=Path), default=ROOT / ".venv" / "pythons", help="For environments.")
def main(each: bool, folder: Path) -> None:
    """Try the project on the Pythons of this machine."""
    here = sys.version_info[:2]
    found = [python for path in candidates(places(dict(os.environ), Path.home())) if (python := ask(path))]
    choice = choose(found, oldest_minor(), here, each=each)
    for word in choice.words:
        click.echo(f"pythons: {word}")
    failed = [python.shown for python in choice.to_try if not _passes(python, folder)]
    if failed:
        raise click.ClickException(f"failed on Python {', '.join(failed)}")
    tried = ", ".join(python.shown for python in choice.to_try)
    click.echo(f"pythons: passed on {tried}" if tried else "pythons: nothing was run")


def _passes(python: Python, folder: Path) -> bool:
    """Set it up, boot, run a job and the fast tests."""
    started_s = time.monotonic()
    click.echo(f"pythons: {python.shown} ({python.path})")
    if python.minor not in minors_tested():
        click.echo(f"pythons: pyproject.toml does not name {python.shown} among the tested versions")
    bin_folder = folder / python.shown / "bin"
    install: list[str | Path] = [
        bin_folder / "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--editable",
        ".[dev]",
    ]
    pytest: list[str | Path] = [bin_folder / "python", "-m", "pytest", "-p", "no:cacheprovider"]
    steps: tuple[list[str | Path], ...] = (
        [python.path, "-m", "venv", folder / python.shown],
        install,
        [*pytest, FIRST_JOB],
        [*pytest, "-n", "2", "--dist", "loadfile", *FAST],
    )
    for step in steps:
        if subprocess.run(step, cwd=ROOT).returncode:
            click.echo(f"pythons: {python.shown} failed: {' '.join(map(str, step))}", err=True)
            return False
    click.echo(f"pythons: {python.shown} passed in {time.monotonic() - started_s:.0f} s")
    return True


if __name__ == "__main__":
    main()
