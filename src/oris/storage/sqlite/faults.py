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


def fault_of(error: sqlite3.Error) -> Fault:
    """The kind of an error; the low byte of its code is the primary one."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    if code & 0xFF in _FATAL or code == sqlite3.SQLITE_READONLY_DBMOVED:
        return Fault.FATAL
    return Fault.PASSING if code & 0xFF in _PASSING else Fault.OURS


def unavailable(error: sqlite3.Error) -> Unavailable:
    """The answer while the database cannot work."""
    return Unavailable(f"the database cannot work now: {described(error)}")


def described(error: sqlite3.Error) -> str:
    """The message with SQLite's own name of the error."""
    return f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
