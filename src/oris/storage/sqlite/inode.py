"""The database file itself: locked under whatever name it is opened, with one name, and no mount of its own.

Two servers that reach one file under two names, each with a log of its own, destroy each other's commits. So the inode
is locked as well as the name, and files that can have a second name are refused.

The lock is `flock`, which does not meet the `fcntl` locks SQLite takes. Those end with any descriptor of the file that
this process closes: this one has to outlive all of SQLite's connections.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
from contextlib import suppress
from pathlib import Path

from oris.errors import ConfigError
from oris.storage.open_store import InUse
from oris.storage.sqlite.files import MODE, narrow

_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
"""The field of a line; spaces and the like in it are octal."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_HEADER_BYTES = 100
_SHARED_FIRST = 0x40000002
"""The first byte of those that SQLite locks to read, and all of which it has to have to itself to copy a log at its
close: https://www.sqlite.org/lockingv3.html."""


class Inode:
    """Holds the lock from `__init__` to `close`."""

    def __init__(self, database: Path) -> None:
        """Made when missing, for the owner alone. Raises InUse, and ConfigError for a file that is none, or is not
        alone."""
        self._path = database
        self.made = not database.exists()
        try:
            self._descriptor = os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        except OSError as error:
            raise ConfigError(f"{database}: cannot open the database: {error.strerror}") from error
        try:
            self._claim()
        except BaseException:
            self.close()
            raise

    def _claim(self) -> None:
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{self._path}: cannot open the database: it is not a plain file")
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUse(
                f"{self._path} is in use by another server, under another name or without its lock file"
            ) from error
        if found.st_nlink > 1:
            raise ConfigError(
                f"{self._path} has {found.st_nlink} names (hard links): a second server could use another name with "
                "another log, and both would lose commits; remove the other names, and share or mount its folder "
                "instead"
            )
        if _is_mounted(self._path):
            raise ConfigError(
                f"{self._path} is mounted as a single file: a second server does not find its log and its lock; "
                "mount its folder instead"
            )

    def narrow(self) -> str | None:
        """Let nobody but the owner read or write it; what the operator should know of who could."""
        found = os.fstat(self._descriptor)
        if not narrow(self._descriptor, found):
            return None
        is_wide = os.fstat(self._descriptor).st_mode & 0o077
        now = "the server could not change that" if is_wide else "it is 0600 now, as are the files beside it"
        return f"{self._path} could be read by others (mode {stat.S_IMODE(found.st_mode):04o}); {now}"

    def header(self) -> bytes:
        """The first 100 bytes: SQLite's header, as it is in the file, whatever the log says; fewer in a new file."""
        return os.pread(self._descriptor, _HEADER_BYTES, 0)

    def keep_log(self) -> None:
        """The log does not belong to what is in the file now: SQLite finds a reader at its close, and leaves both as
        they are. Never raises."""
        # A lock of the descriptor's own, which meets those that SQLite takes for the process: struct flock.
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, 1, 0)
        with suppress(OSError):
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, lock)

    def close(self) -> None:
        """Let it go; again is harmless. An empty file that was made in vain is removed."""
        if self._descriptor < 0:
            return
        if self.made:
            self._remove_if_empty()
        os.close(self._descriptor)
        self._descriptor = -1

    def _remove_if_empty(self) -> None:
        ours = os.fstat(self._descriptor)
        with suppress(OSError):
            if not ours.st_size and os.path.samestat(ours, os.stat(self._path)):
                self._path.unlink()


def _is_mounted(path: Path) -> bool:
    """Whether something is mounted at this very file. A mount out of the same file system shows in the list alone."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return os.stat(path).st_dev != os.stat(path.parent).st_dev
    points = (line.split(" ")[_MOUNT_POINT] for line in lines)
    return str(path) in {_OCTAL.sub(lambda found: chr(int(found[1], 8)), point) for point in points}
