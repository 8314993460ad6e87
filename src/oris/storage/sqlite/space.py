"""The disk the database lies on: how much is free, whether that is enough for new runs, and what to do when it is not.

Below the reserve new runs are refused and everything else goes on; at the last byte the reserve itself is given up,
slice by slice, for commits that make no new runs.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

from oris.errors import ConfigError
from oris.storage.open_store import Space
from oris.storage.sqlite.files import MODE, beside
from oris.storage.sqlite.reserve import Reserve

MOST_RESERVE_BYTES = 64 * 1024 * 1024
_PART_OF_DISK = 20
_MOST_PART = 4
_PROBE = bytes(65_536)
_CAUSES = {errno.ENOSPC: "disk_full", errno.EDQUOT: "disk_full", errno.EROFS: "read_only"}

ReserveSize = int | Literal["auto", "as_it_is"]
"""Bytes; `auto`: 64 MiB or a twentieth of the disk; `as_it_is`: none is kept, and one that is there is left alone."""


class Disk:
    """Watches one database's disk. `look` and the other methods may be called from any thread."""

    def __init__(self, database: Path, reserve: ReserveSize) -> None:
        """Raises ConfigError: a reserve that this disk cannot hold, or a file that cannot be made."""
        self._database = database
        self._wal = f"{database}-wal"
        size_bytes = reserve_size(database.parent, reserve)
        try:
            self._reserve = None if size_bytes is None else Reserve(database, size_bytes)
        except OSError as error:
            raise ConfigError(f"{database}.reserve: cannot make the file: {error.strerror}") from error
        self.low = False
        """New runs are to be refused. Read without a lock, at every submit."""

    def look(self) -> Space:
        """Look, take the reserve again if there is room for it, and decide. Blocks as long as the disk does."""
        free, size, held = self._free(), 0, 0
        if self._reserve is None:
            self.low = False
        else:
            size = self._reserve.size_bytes
            # A quarter more than is asked for, so that it does not close again at once.
            enough = size * 5 // 4
            if not self._reserve.whole and free >= size - self._reserve.held_bytes + enough:
                # Somebody was faster: the next look tries again.
                with suppress(OSError):
                    self._reserve.take()
                free = self._free()
            held = self._reserve.held_bytes
            self.low = held < size or free < (enough if self.low else size)
        try:
            wal_bytes = os.stat(self._wal).st_size
        except FileNotFoundError:
            wal_bytes = 0
        return Space(free, wal_bytes, size, held, self.low)

    def make_room(self) -> bool:
        """Something that makes no new runs has found the disk full. True: there is a little room now."""
        self.low = True
        return self._reserve is not None and self._reserve.give_up()

    def why_unwritable(self) -> str | None:
        """Try to write beside the database: `disk_full`, `read_only`, or None when neither is the matter."""
        path = beside(self._database, ".probe")
        try:
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
            try:
                path.unlink()
                written = os.write(descriptor, _PROBE)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            return _CAUSES.get(error.errno or 0)
        return None if written == len(_PROBE) else "disk_full"

    def close(self) -> None:
        """Let the reserve's file go; it keeps its room."""
        if self._reserve is not None:
            self._reserve.close()

    def _free(self) -> int:
        found = os.statvfs(self._database.parent)
        return found.f_bavail * found.f_frsize


def reserve_size(folder: Path, wanted: ReserveSize) -> int | None:
    """How large the reserve is to be on the disk of this folder. Raises ConfigError when it is too much for it."""
    found = os.statvfs(folder)
    whole = found.f_blocks * found.f_frsize
    match wanted:
        case "as_it_is":
            return None
        case "auto":
            return min(MOST_RESERVE_BYTES, whole // _PART_OF_DISK)
        case _:
            if wanted > whole // _MOST_PART:
                raise ConfigError(
                    f"disk_reserve_bytes {wanted} is not allowed for {folder}; it must be at most a quarter of that "
                    f"disk, {whole // _MOST_PART}"
                )
            return wanted
