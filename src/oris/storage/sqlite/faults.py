"""What SQLite's errors mean: a passing trouble, a file not to be trusted any more, or a mistake of ours."""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

from oris.errors import Unavailable


class Fault(Enum):
    """Whose trouble an error is, and whether it can pass."""

    PASSING = auto()
    """Busy, full, read-only: nothing was written, and a later try may succeed."""
    FATAL = auto()
    """An I/O error or a damaged file: what the disk holds is no longer known."""
    OURS = auto()
    """A row that does not fit, a value out of range: the unit that brought it is at fault."""


_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_FATAL = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CAUSES = {
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_INTERRUPT: "read_too_long",
}


def fault_of(error: sqlite3.Error) -> Fault:
    """The kind of an error; the low byte of its code is the primary one."""
    code = _code(error)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:
        # The index of the WAL could not grow, for want of room; it holds nothing that is not in the WAL.
        return Fault.PASSING
    if code & 0xFF in _FATAL or code == sqlite3.SQLITE_READONLY_DBMOVED:
        return Fault.FATAL
    return Fault.PASSING if code & 0xFF in _PASSING else Fault.OURS


def is_refused_write(error: sqlite3.Error) -> bool:
    """The system refused to write. SQLite knows a full disk by itself, but neither a quota nor a read-only disk."""
    return _code(error) == sqlite3.SQLITE_IOERR_WRITE


def cause_of(error: sqlite3.Error) -> str:
    """What is the matter, in a word for programs: disk_full, read_only, busy, read_too_long or other."""
    code = _code(error)
    return "disk_full" if code == sqlite3.SQLITE_IOERR_SHMSIZE else _CAUSES.get(code & 0xFF, "other")


def unavailable(error: sqlite3.Error, cause: str | None = None, *, again: bool = False) -> Unavailable:
    """The answer while the database cannot work. `cause` when it is known better than from the error."""
    text = f"the database refused to work: {described(error)}"
    return Unavailable(text, cause=cause or cause_of(error), again=again)


def described(error: sqlite3.Error) -> str:
    """The message with SQLite's own name of the error."""
    return f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code
