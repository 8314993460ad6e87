"""The command line: `python -m oris [flags] [command]`."""

from oris.cli.group import main

__all__ = ["main"]
