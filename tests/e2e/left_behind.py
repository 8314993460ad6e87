"""The rows a server has left behind, however it ended, and whether every invariant holds on them."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from oris.core.invariants import Snapshot, check_all

from ..stores import rows_of_server


def left_behind(database: Path) -> Snapshot:
    """All rows, read from a copy: after a kill the files themselves are for the next server to recover."""
    with TemporaryDirectory(prefix="oris-rows-") as folder:
        for suffix in ("", "-wal"):
            source = database.with_name(database.name + suffix)
            if source.exists():
                shutil.copyfile(source, Path(folder) / f"copy.db{suffix}")
        return rows_of_server(Path(folder) / "copy.db")


def check_left_behind(database: Path) -> None:
    """Every timeline verifies and folds to the stored run (I11), and all else that one state can show holds."""
    assert check_all(left_behind(database)) == [], database
