"""Files beside the database: only the owner may read them, and none is reached through a link.

A link in such a place leads to somebody else's file, which would be filled, cut or locked instead.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from oris.errors import ConfigError

MODE = 0o600
_LINK = "this is a link or not a plain file; remove it"
_LOG_LINK = "this is a link or not a plain file; replace it with a copy of the log, or move it away"
_LOGS = ("-wal", "-journal")
"""What SQLite replays or rolls back into a database that it is found beside."""


def beside(database: Path, ending: str) -> Path:
    """The file of that ending."""
    return database.with_name(database.name + ending)


def open_beside(database: Path, ending: str) -> int:
    """Open a file of ours for reading and writing; made when missing. Raises OSError, for a link too."""
    try:
        descriptor = os.open(
            beside(database, ending), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, MODE
        )
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, _LINK) from error
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise OSError(errno.ELOOP, _LINK)
        narrow(descriptor, found)
        _hand_over(descriptor, found, database)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _hand_over(descriptor: int, found: os.stat_result, database: Path) -> None:
    """What a command of root's makes belongs to the database's owner, as SQLite's own files do: whose server would
    not start again otherwise."""
    if os.geteuid() != 0 or found.st_uid != 0:
        return
    with suppress(OSError):
        owner = os.stat(database)
        if owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def narrow(file: int | Path, found: os.stat_result) -> bool:
    """Let nobody but the owner read or write a file; whether others could. What the system refuses stays as it is."""
    if not found.st_mode & 0o077:
        return False
    with suppress(OSError):
        os.chmod(file, MODE)
    return True


def check_sqlites_own(database: Path) -> None:
    """SQLite follows links in place of its own side files: raises ConfigError for one."""
    for path, found in _sqlites_own(database):
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise ConfigError(f"{path}: {_LOG_LINK if path.name.endswith(_LOGS) else _LINK}")


def narrow_sqlites_own(database: Path) -> None:
    """As `narrow`, for SQLite's own side files, which are none of another's by now. Raises ConfigError."""
    for path, found in _sqlites_own(database):
        narrow(path, found)


def _sqlites_own(database: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for ending in (*_LOGS, "-shm"):
        path = beside(database, ending)
        try:
            yield path, os.lstat(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{path}: cannot read this file: {error.strerror}") from error


def log_beside(database: Path) -> Path | None:
    """The log that SQLite would apply to this database: one that is there and not empty."""
    for ending in _LOGS:
        path = beside(database, ending)
        with suppress(FileNotFoundError):
            if os.stat(path).st_size:
                return path
    return None


class Names:
    """Whether the names of open files still lead to them: what is written to a file without a name is lost."""

    def __init__(self, database: Path, name: Path | None = None) -> None:
        """Note which files are open under which names. `name`: one more for the database, which may lead there through
        links. Raises OSError."""
        self.database = database
        self._wal = str(beside(database, "-wal"))
        self._known = [_identified(path) for path in (str(database), self._wal, str(beside(database, "-shm")))]
        if name is not None and name != database:
            self._known.append((str(name), *self._known[0][1:]))
        self._folder = str(database.parent)
        self._folder_seen: tuple[int, int, int] | None = None

    def changed(self) -> str | None:
        """As `lost`, when anything in the folder has got another name since the last time. One call of the system.

        A folder's time goes on in ticks of some ms: of two changes in one tick `lost` alone sees the second.
        """
        try:
            found = os.stat(self._folder)
        except OSError:
            return self.lost()
        seen = (found.st_dev, found.st_ino, found.st_mtime_ns)
        if seen == self._folder_seen:
            return None
        told = self.lost()
        self._folder_seen = seen if told is None else None
        return told

    def lost(self) -> str | None:
        """What has become of the first file that is not where it was, as a sentence without its end; None: nothing."""
        for path, device, inode in self._known:
            try:
                found = os.stat(path)
            except FileNotFoundError:
                return f"{path} was deleted or moved while the server was running"
            except OSError as error:
                return f"{path} can no longer be reached: {error.strerror}"
            if found.st_ino != inode or found.st_dev != device:
                return f"{path} was replaced by another file while the server was running"
        return None

    def lost_database(self) -> bool:
        """Whether it is the database's own name that leads elsewhere."""
        return not self._leads_to_ours(0)

    def strange_wal(self) -> Path | None:
        """A file that somebody else has put where the WAL was."""
        path = Path(self._wal)
        return path if path.exists() and not self._leads_to_ours(1) else None

    def _leads_to_ours(self, place: int) -> bool:
        path, device, inode = self._known[place]
        try:
            found = os.stat(path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (device, inode)


def _identified(path: str) -> tuple[str, int, int]:
    found = os.stat(path)
    return path, found.st_dev, found.st_ino
