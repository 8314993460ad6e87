"""The composition root: builds everything out of the settings, names the task tree, and runs it."""

from oris.server.main import run

__all__ = ["run"]
