"""Which Oris this is."""

from __future__ import annotations

from importlib import metadata


def program_version() -> str:
    """The version of the installed distribution."""
    return metadata.version("oris-runtime")
