"""A small disk of its own for a server, and another program that fills it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_bytes: int, *, read_only: bool = False) -> Iterator[Path]:
    """A file system in memory. Skips the test where this user may not mount one."""
    folder.mkdir()
    options = f"size={size_bytes},nr_inodes=1000" + (",ro" if read_only else "")
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program to mount a small disk with")
    if done.returncode != 0:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(f"in CI these tests have to run: {done.stderr}")
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Hog:
    """Another program's file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "hog"

    def fill(self) -> None:
        """Take everything there is, to the last byte."""
        with self._path.open("ab", buffering=0) as file:
            for part in (1024 * 1024, 4096):
                while True:
                    try:
                        file.write(bytes(part))
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                        break

    def free(self) -> None:
        """Give it all back."""
        self._path.unlink()
