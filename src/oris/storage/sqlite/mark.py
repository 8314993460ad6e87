"""`<database>.mark`: how a database was left, and when it committed last. Compared with what is found at a start.

SQLite trusts every log that lies beside a database. A backup put over a database whose log is still there is undone by
it, and a copy made without its log passes for a whole one. So while a server has a database open, the file itself says
so: `user_version` in its header is the same as the schema's number, which changes in every backup made by SQLite, and
`application_id` is drawn at each opening. The mark holds the number drawn, and after each commit its time.

The schema's number is drawn, too: a backup that is made over the one before counts that one's on, from 1, and would
come to a small number some night. It means nothing but that statements have to be prepared anew.

It is not synced after each commit: a power cut may leave an older one, which lacks nothing that the database has.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oris.storage.sqlite.connect import set_pragma
from oris.storage.sqlite.files import open_beside

State = Literal["open", "turning", "closed"]
"""`open`: the file says so, and its log belongs to it. `closed`: all is in the file, and there is no log. `turning`: on
the way from one to the other, or told to be taken as it is."""

_SIZE = 128
_TIME = b"%20d}"
"""What a commit writes; blanks before a number are JSON's own."""
_END = b" " * (_SIZE - len(_TIME % 0) - 1) + b"\n"
_HEADER = 72
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_MAGIC = b"SQLite format 3\0"
_LEAST = 1 << 29
"""Of the numbers drawn: no backup counts so far, and there is room above for changes of the schema."""


class Left(Struct, frozen=True):
    """How a database was left."""

    state: State
    opening: int
    """The number of the opening."""
    committed_ms: int
    """The time of the last commit."""


class Found(Struct, frozen=True):
    """What there is before SQLite looks at it."""

    header: bytes
    log: Path | None
    """A WAL or a rollback journal that is not empty; an empty one is left by whoever only looks at a database."""


class Mark:
    """The file. What cannot be written to it is let go: it is a witness, and commits do not hang on it."""

    def __init__(self, database: Path) -> None:
        """Raises OSError: a link in its place, or a folder that cannot be written."""
        self._descriptor = open_beside(database, ".mark")
        self._left = self._read()
        self._committed_ms = 0
        self._time_at = 0

    @property
    def left(self) -> Left | None:
        """What was written last; None: nothing that can be read."""
        left = self._left
        return None if left is None else Left(left.state, left.opening, max(left.committed_ms, self._committed_ms))

    def write(self, left: Left) -> None:
        """Write, and wait for the disk."""
        self._left = left
        head = f'{{"state":"{left.state}","opening":{left.opening},"committed_ms":'.encode()
        with suppress(OSError):
            # In one piece, and always over the same bytes: it needs no room on a full disk.
            os.pwrite(self._descriptor, head + _TIME % left.committed_ms + _END[len(head) :], 0)
            os.fsync(self._descriptor)
        self._time_at = len(head)

    def turning(self) -> None:
        """From here on the database may be found in any state on the way."""
        left = self.left or Left("turning", 0, 0)
        self.write(replace(left, state="turning"))

    def committed(self, now_ms: int) -> None:
        """A commit is on the disk. One call of the system; `write` has to come first."""
        self._committed_ms = now_ms
        with suppress(OSError):
            os.pwrite(self._descriptor, _TIME % now_ms, self._time_at)

    def close(self) -> None:
        """Again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> Left | None:
        try:
            return msgspec.json.decode(os.pread(self._descriptor, _SIZE, 0), type=Left)
        except (OSError, msgspec.MsgspecError):
            return None


def trouble(database: Path, found: Found, left: Left | None) -> str | None:
    """Why SQLite must not touch this; None: it may. One line that says what to do."""
    log = f"{database}-wal"
    is_turning = left is not None and left.state == "turning"
    if not found.header.startswith(_MAGIC):
        # A new database that was killed while it was made has a journal, but a WAL no sooner than a header.
        is_made = is_turning and found.log is not None and found.log.name.endswith("-journal")
        return None if is_made else log_alone(database, found)
    if is_turning:
        return None
    if is_claimed(found.header):
        _, _, opening = _numbers(found.header)
        if left is not None and left.state == "open" and left.opening == opening:
            return None
        if found.log is None:
            return (
                f"{database} is a copy of a database that was in use, without its log ({log} is missing or empty): "
                "the last commits are missing; copy both files, or make copies with `sqlite3 DATABASE '.backup "
                "COPY'`; `oris adopt` accepts it as it is"
            )
        if left is not None:
            return (
                f"{database} was put here while it was in use elsewhere, and {log} may belong to another database: "
                "if only the database was put here, move the log away; if both were, `oris adopt` accepts them as "
                "they are"
            )
        return None
    if found.log is not None and left is not None:
        return (
            f"the log beside {database} ({found.log}) is not its own, and would change the database: if the "
            "database was restored, move the log away; if the log belongs to it, `oris adopt` accepts both as they are"
        )
    return None


def log_alone(database: Path, found: Found) -> str | None:
    """As `trouble`, when there is a log without its database: SQLite would delete it, or make a database of it over
    what is there."""
    if found.header.startswith(_MAGIC) or found.log is None:
        return None
    return (
        f"{database} is missing, empty or not a database, but its log ({found.log}) exists: put the database back, "
        "or move the log away"
    )


def missing(database: Path, left: Left | None, newest_ms: int) -> str | None:
    """What an open database lacks of what was committed here, in words; `newest_ms`: its latest commit."""
    if left is None or left.committed_ms <= newest_ms:
        return None
    last = _shown(left.committed_ms)
    if not newest_ms:
        return f"{database} is empty, but the database that was here committed until {last}: all of that is lost"
    return (
        f"{database} lacks the commits of the last {(left.committed_ms - newest_ms) / 1000:.3f} s, from "
        f"{_shown(newest_ms)} to {last}: its log was deleted or cut off, or an older database replaced it"
    )


def _shown(ms: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(ms, _LAST_MS))
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def claim(connection: sqlite3.Connection) -> int:
    """Write that it is open; the answer is the opening's number. While another program reads an older state, it stands
    in the log alone. Raises sqlite3.Error."""
    opening = int.from_bytes(os.urandom(4), "big") >> 3 | _LEAST
    with _writing(connection):
        set_pragma(connection, "application_id", opening)
        set_pragma(connection, "schema_version", opening)
        set_pragma(connection, "user_version", opening)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return opening


def claim_again(connection: sqlite3.Connection) -> None:
    """Write that it is open, with the schema's number as it is now. Without waiting for readers of an older state: as
    long as they read, it may stand in the log alone. Raises sqlite3.Error."""
    (schema,) = connection.execute("PRAGMA schema_version").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    if user_version != schema:
        with _writing(connection):
            set_pragma(connection, "user_version", schema)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def disclaim(connection: sqlite3.Connection) -> None:
    """Write that it is closed; the last connection then brings it into the file. Raises sqlite3.Error."""
    set_pragma(connection, "user_version", 0)


def is_claimed(header: bytes) -> bool:
    """Whether the file says that it is open."""
    user_version, schema, _ = _numbers(header)
    return user_version == schema >= _LEAST


def is_closed(header: bytes) -> bool:
    """Whether the file says so."""
    return header.startswith(_MAGIC) and not _numbers(header)[0]


def is_overwritten(header: bytes, opening: int) -> bool:
    """Whether something else lies in the file than the database that was opened."""
    return not header.startswith(_MAGIC) or _numbers(header)[2] != opening


def _numbers(header: bytes) -> tuple[int, int, int]:
    """user_version, the schema's number, application_id."""
    if len(header) < _HEADER:
        return 0, 0, 0
    return tuple(int.from_bytes(header[place : place + 4], "big") for place in (60, 40, 68))  # type: ignore[return-value]
