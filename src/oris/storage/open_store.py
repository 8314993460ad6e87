"""A store as a server holds it: beside what the engine asks, whether it still works, and what to tell of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import trio
from msgspec import Struct

from oris.errors import ConfigError, DataDamaged
from oris.storage.store import Store


class InUse(ConfigError):
    """Another server has the database open."""


class Space(Struct, frozen=True):
    """One look at the disk that a store lies on."""

    free_bytes: int
    wal_bytes: int
    reserve_bytes: int
    """What the reserve should be."""
    held_bytes: int
    """What is left of it."""
    low: bool
    """New runs are refused."""


class OpenStore(Store, Protocol):
    """One open database of a server. Closed by `aclose`, or by leaving it as a context."""

    @property
    def failed(self) -> trio.Event:
        """Set when the database must not be trusted any more: the server has to stop. See `failure`."""

    @property
    def failure(self) -> str | None:
        """Why it must not be trusted any more; None while it may be."""

    @property
    def lost(self) -> bool:
        """Whether that is because the database is not where it was."""

    @property
    def schema_title(self) -> str:
        """The newest migration that the database has."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the operator should know of this kind of store and its settings; to be logged at the start."""

    @property
    def database_warnings(self) -> Sequence[str]:
        """What the operator should know of this very database."""

    on_damage: Callable[[DataDamaged], None]
    """Told of every payload that is read and is not what was written; on the event loop."""

    def no_room(self) -> bool:
        """Whether new runs are to be refused for want of room on the disk, as far as is known now."""

    def look_for_database(self) -> bool:
        """Whether the database is where it was; else it has failed."""

    async def look(self) -> Space | None:
        """Look at the disk, and for the database. None: there is no disk to look at. A checkpoint; raises OSError."""

    async def probe(self) -> None:
        """Find out whether anything can be committed. A checkpoint; raises Unavailable."""

    async def checkpoint(self) -> bool:
        """Shorten the log of the store; False: a reader is in the way. Also one of Trio's; raises Unavailable."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
