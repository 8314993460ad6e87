"""Room that is really taken: a file beside the database, given up when a commit finds the disk full.

Watching the free space does not help when another program takes all of it in one moment; what was taken before does. It
is given up in slices, so that whoever goes on filling the disk cannot take the whole of it at once.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from oris.storage.sqlite.files import beside, open_beside

SLICES = 8
_SMALLEST_SLICE = 65_536
_CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""How a file system says that it cannot set room aside; writing takes it just as well."""


class Reserve:
    """`<database>.reserve`. The file stays when the server ends: nobody else takes its room meanwhile.

    Methods may be called from any thread.
    """

    def __init__(self, database: Path, size_bytes: int) -> None:
        """Take over what an earlier server left, and no more than that. Raises OSError."""
        self._path = beside(database, ".reserve")
        self._lock = Lock()
        self.size_bytes = size_bytes
        """What should be held."""
        self.held_bytes = 0
        """What is held now."""
        self._descriptor = -1
        if size_bytes == 0:
            self._path.unlink(missing_ok=True)
            return
        self._descriptor = open_beside(database, ".reserve")
        left = min(size_bytes, os.fstat(self._descriptor).st_size)
        os.ftruncate(self._descriptor, left)
        if left:
            # A copy may have the size without the room.
            with suppress(OSError):
                self._grow(left)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.held_bytes == self.size_bytes

    def take(self) -> None:
        """Take what is missing. Raises OSError when the disk does not have it; then what was held is held still."""
        with self._lock:
            if self._descriptor >= 0 and not self.whole:
                self._grow(self.size_bytes)

    def give_up(self) -> bool:
        """Give a slice back to the disk; False when there is none left."""
        with self._lock:
            if self._descriptor < 0 or not self.held_bytes:
                return False
            kept = max(0, self.held_bytes - max(_SMALLEST_SLICE, self.size_bytes // SLICES))
            os.ftruncate(self._descriptor, kept)
            self.held_bytes = kept
            return True

    def close(self) -> None:
        """Leave the file as it is; again is harmless."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _grow(self, size_bytes: int) -> None:
        try:
            _allocate(self._descriptor, self.held_bytes, size_bytes)
        except OSError:
            # Some file systems leave behind what they got until they failed.
            os.ftruncate(self._descriptor, self.held_bytes)
            raise
        self.held_bytes = size_bytes


def _allocate(descriptor: int, begin: int, end: int) -> None:
    try:
        os.posix_fallocate(descriptor, begin, end - begin)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        zeros = bytes(1024 * 1024)
        while begin < end:
            begin += os.pwrite(descriptor, zeros[: end - begin], begin)
