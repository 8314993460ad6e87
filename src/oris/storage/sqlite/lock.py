"""One server per database file: an advisory lock beside it, which the kernel lets go when its holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from oris.errors import ConfigError
from oris.storage.open_store import InUse
from oris.storage.sqlite.files import beside, open_beside


class FileLock:
    """Holds `<database>.lock` from `__init__` to `release`.

    The file stays: removing it would let two servers lock two files of one name. Programs that this process starts
    do not inherit the lock (the descriptor closes on exec).
    """

    def __init__(self, database: Path) -> None:
        """Raises InUse when another server holds it, ConfigError when the file cannot be made."""
        try:
            self._descriptor = open_beside(database, ".lock")
        except OSError as error:
            raise ConfigError(f"{beside(database, '.lock')}: cannot make the lock file: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise InUse(f"{database} is in use by another server (pid {holder or 'unknown'})") from error
        # Who holds it is told as a courtesy: the lock is as good without it, on a full disk for example.
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let it go; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
