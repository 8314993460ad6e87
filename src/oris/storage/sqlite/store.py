"""`Store` for SQLite: the embedded database of one node.

Threaded (the default), every COMMIT is a hop into a thread and every read another; inline, for the simulator and for
tests, they run in the calling task after one checkpoint. Either way nothing can cut a transaction between BEGIN and
COMMIT.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import trio
from msgspec.structs import replace

from oris.clock import SystemClock
from oris.core.changes import Handed
from oris.core.needs import Needs
from oris.errors import ConfigError, DataDamaged, Unavailable
from oris.ids import NodeId, RunId
from oris.storage.hints import Hints, NoHints
from oris.storage.open_store import Space
from oris.storage.reads import Reads
from oris.storage.sqlite import queries
from oris.storage.sqlite.connect import Tuning, version_warnings
from oris.storage.sqlite.database import Database, MemoryDatabase, open_file
from oris.storage.sqlite.faults import Fault, fault_of, unavailable
from oris.storage.sqlite.read_limit import ReadLimit
from oris.storage.sqlite.reads import SqliteReads
from oris.storage.sqlite.schema import SqliteSchema
from oris.storage.sqlite.upgrade import prepare
from oris.storage.sqlite.writer import Prepared, Writer
from oris.storage.store import Work

T = TypeVar("T")

CLOSE_LIMIT_S = 10.0
"""How long closing may take; a thread stuck in the disk is left behind then."""
LOCK_LOOK_S = 0.002
"""Between two tries to get the lock that another program has."""
_DEFAULT_TUNING = Tuning()


class SqliteStore:
    """One open database. To be made by `open`, and closed by `aclose` or by leaving it as a context."""

    def __init__(
        self, database: Database, node_id: NodeId, now_ms: Callable[[], int], inline: bool, patience_ms: int
    ) -> None:
        self._database = database
        self._writer = Writer(database.writer, node_id, now_ms, database.disk, database.guard, patience_ms)
        self._patience_s = 0.0 if inline else patience_ms / 1000
        self._inline = inline
        self._closed = False
        self._write_limiter = trio.CapacityLimiter(1)
        self._commit_limiter = trio.CapacityLimiter(1)
        # Without readers of their own, reads and commits share the writer's connection, one at a time.
        self._free = list(database.readers) or [database.writer]
        self._read_limiter = trio.CapacityLimiter(len(self._free)) if database.readers else self._write_limiter
        self._look_limiter = trio.CapacityLimiter(1)
        self._limits: dict[sqlite3.Connection, ReadLimit] = {}
        self.shared = False
        """A file has one server; a database in memory may have several, of one process."""
        self.hints: Hints = NoHints()
        self.on_damage: Callable[[DataDamaged], None] = lambda error: None
        """Told of every payload that is read and is not what was written; on the event loop."""
        self._reads = SqliteReads(self._read, lambda error: self.on_damage(error))
        self.failed = trio.Event()
        """Set once the file is not to be trusted any more: the server has to stop. See `failure`."""
        self.schema_title = ""
        """The newest migration that the database has, as its file is called."""
        self.warnings: list[str] = []
        """What the operator should know of this SQLite and its settings; to be logged at the start."""
        self.database_warnings: list[str] = []
        """What the operator should know of the database file: what is missing of it, or who could read it."""

    @classmethod
    async def open(
        cls,
        database: Path | MemoryDatabase,
        now_ms: Callable[[], int],
        *,
        node_id: NodeId,
        inline: bool = False,
        migrate: Literal["auto", "check"] = "auto",
        tuning: Tuning = _DEFAULT_TUNING,
        connection_class: type[sqlite3.Connection] = sqlite3.Connection,
        hints: Hints | None = None,
    ) -> SqliteStore:
        """Lock, open and migrate. `now_ms` is the engine's clock: called inside each transaction. `hints`: for a
        database in memory that several nodes of one process share.

        `connection_class` is the writer's (tests make it fail). A checkpoint; cancelled, everything is closed again.
        Raises ConfigError: locked by another server, unwritable, no database of ours, migrations.
        """
        if isinstance(database, MemoryDatabase) and not inline:
            raise ConfigError("a database in memory is for inline use only")
        warnings = version_warnings(tuning)

        schema: list[str] = []

        def bring_up_to_date(connection: sqlite3.Connection) -> None:
            prepare(connection, now_ms, migrate)
            newest = SqliteSchema(connection, now_ms).applied()[-1]
            schema[:] = [f"{newest.version:04d}_{newest.name}"]

        # Inline, the one connection does everything.
        tuning = replace(tuning, readers=0) if inline else tuning
        if isinstance(database, MemoryDatabase):
            open_now = partial(database.open, bring_up_to_date, shared=hints is not None)
        else:
            open_now = partial(open_file, database, tuning, connection_class, bring_up_to_date)
        if inline:
            await trio.lowlevel.checkpoint()
            opened = open_now()
        else:
            opened = await trio.to_thread.run_sync(open_now)
        store = cls(opened, node_id, now_ms, inline, tuning.busy_timeout_ms)
        store.shared = store._writer.shared = hints is not None
        store.hints = hints or NoHints()
        store.warnings = warnings
        store.database_warnings = opened.warnings
        store.schema_title = schema[0]
        monotonic_s, limit_s = SystemClock().monotonic_s, tuning.read_limit_ms / 1000
        store._limits = {reader: ReadLimit(reader, limit_s, monotonic_s) for reader in opened.readers}
        return store

    @property
    def reads(self) -> Reads:
        """Lists, pages, statistics."""
        return self._reads

    @property
    def failure(self) -> str | None:
        """Why the file is not to be trusted any more; None while it is."""
        return self._writer.failure

    @property
    def lost(self) -> bool:
        """Whether that is because the names of its files lead elsewhere."""
        return self._writer.lost

    async def transact(self, needs: Needs, work: Work, batch_id: str) -> Mapping[RunId, Handed]:
        """See `Store.transact`. A checkpoint before the transaction; once begun it is not cancelled.

        COMMIT, which waits for the disk, runs in a thread; what comes before it does not. In a thread it would hand the
        interpreter's lock back and forth with the event loop at every statement, and last several times as long.
        """
        async with self._write_limiter:
            try:
                prepared = await self._prepared(partial(self._writer.prepare, needs, work, batch_id))
                if prepared.to_commit:
                    await self._commit(partial(self._writer.commit, batch_id))
                    self._writer.confirm(prepared.now_ms)
            except DataDamaged as error:
                self.on_damage(error)
                raise
            finally:
                self._note_failure()
        return prepared.handed

    async def _prepared(self, prepare: Callable[[], Prepared]) -> Prepared:
        """Begin again while another program has the write lock: SQLite's own waiting would hold the event loop."""
        give_up_at_s = trio.current_time() + self._patience_s
        while True:
            try:
                return self._unless_closed(prepare)
            except Unavailable as error:
                if error.cause != "busy" or trio.current_time() >= give_up_at_s:
                    raise
            await trio.sleep(LOCK_LOOK_S)

    def no_room(self) -> bool:
        """Whether new runs are to be refused for want of room on the disk, as far as is known now."""
        return self._database.disk is not None and self._database.disk.low

    async def look(self) -> Space | None:
        """Look at the disk, and whether the files are where they were: see `failed`. None: in memory, or not.

        A checkpoint; a disk that hangs is left to its thread.
        """
        disk = self._database.disk
        if disk is None:
            await trio.lowlevel.checkpoint()
            return None
        if self.look_for_database():
            await self._see_to_claim()
            try:
                return await trio.to_thread.run_sync(disk.look, limiter=self._look_limiter, abandon_on_cancel=True)
            except OSError:
                # A folder that has gone is told of as what it is.
                if self.look_for_database():
                    raise
        await trio.lowlevel.checkpoint()
        return None

    def look_for_database(self) -> bool:
        """Whether the files are where they were, and the database is in its own: see `failed`."""
        with suppress(Unavailable):
            self._writer.look(at_length=True)
        self._note_failure()
        return not self._writer.lost

    async def probe(self) -> None:
        """Find out whether anything can be committed. A checkpoint; raises Unavailable."""
        await self._run(self._write_limiter, self._writer.probe)

    async def checkpoint(self) -> bool:
        """Copy the WAL into the database and cut it off; False: a reader is in the way. Commits wait for it.

        A checkpoint of Trio's too; raises Unavailable.
        """
        return await self._run(self._write_limiter, self._writer.checkpoint)

    async def high_water_ms(self) -> int:
        """The latest time any batch was committed at; 0 in a new store. A checkpoint."""
        return await self._read(queries.high_water_ms)

    async def calm_ms(self) -> int:
        """Until when no lease was owed anything; 0 in a new store. A checkpoint."""
        return await self._read(queries.calm_ms)

    async def aclose(self) -> None:
        """Close every connection and let the lock go. Shielded, and bounded: what is stuck is left behind."""
        if not self._closed:
            self._closed = True
            if self._inline:
                self._database.close()
            else:
                with trio.move_on_after(CLOSE_LIMIT_S, shield=True):
                    await self._close_in_thread()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def abandon(self) -> None:
        """For a database in memory: leave it as the death of the process would. Synchronous."""
        self._database.close()

    async def __aenter__(self) -> SqliteStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _close_in_thread(self) -> None:
        """Wait until no thread works on any connection, then close them."""
        readers = [object() for _ in self._database.readers]
        async with self._write_limiter:
            for reader in readers:
                await self._read_limiter.acquire_on_behalf_of(reader)
            await trio.to_thread.run_sync(self._database.close, abandon_on_cancel=True)
        for reader in readers:
            self._read_limiter.release_on_behalf_of(reader)

    async def _run(self, limiter: trio.CapacityLimiter, work: Callable[[], T]) -> T:
        try:
            if self._inline:
                await trio.lowlevel.checkpoint()
                return self._unless_closed(work)
            return await trio.to_thread.run_sync(self._unless_closed, work, limiter=limiter)
        finally:
            self._note_failure()

    async def _commit(self, commit: Callable[[], None]) -> None:
        if self._inline:
            commit()
            return
        # The transaction is open: from here on only the disk decides. How long it takes is not in our hands.
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(commit, limiter=self._commit_limiter)
            except RuntimeError as error:
                # No thread could be started: nothing was committed, and nothing may be left open.
                self._writer.abandon()
                raise Unavailable(f"no thread could be started for the commit: {error}") from error

    async def _see_to_claim(self) -> None:
        """What cannot be written now is tried at the next look."""
        if not self._writer.is_claimed:
            with suppress(Unavailable):
                await self._run(self._write_limiter, self._writer.claim_again)

    def _note_failure(self) -> None:
        if self._writer.failure is not None:
            self.failed.set()

    def _unless_closed(self, work: Callable[[], T]) -> T:
        if self._closed or self._database.cut:
            self._writer.check()
            raise Unavailable("the store is closed")
        return work()

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._run(self._read_limiter, partial(self._read_now, query))
        except DataDamaged as error:
            self.on_damage(error)
            raise

    def _read_now(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """One query in a read transaction of its own; the limiter sees to it that a connection is free."""
        if self._writer.lost:
            # What it would answer is what nobody will find again.
            self._writer.check()
        connection = self._free.pop()
        try:
            connection.execute("BEGIN")
            try:
                with self._limits.get(connection) or nullcontext():
                    return query(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            fault = fault_of(error)
            if fault is Fault.FATAL:
                self._writer.fail(error)
            if fault is Fault.OURS:
                raise
            raise unavailable(error) from error
        finally:
            self._free.append(connection)
