"""What the engine asks of a database. `transact` is the one way to write; `Reads` are beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, TypeVar

from oris.core.changes import Changes, Handed
from oris.core.needs import Loaded, Needs
from oris.ids import RunId
from oris.storage.hints import Hints
from oris.storage.reads import Reads

T = TypeVar("T")

Work: TypeAlias = Callable[[Loaded, int], Changes]
"""`work(loaded, now_ms)`: synchronous and pure, so a rolled-back transaction is simply run again."""


class Store(Protocol):
    """One open database."""

    @property
    def reads(self) -> Reads: ...

    @property
    def shared(self) -> bool:
        """Whether other nodes may write beside this one. Then what a node remembers of the store is a hint."""

    @property
    def hints(self) -> Hints:
        """The way to the other nodes."""

    async def transact(self, needs: Needs, work: Work, batch_id: str) -> Mapping[RunId, Handed]:
        """Load what `needs` names, call `work` with it and the store's time, write its changes, commit.

        All or nothing; the answer is what was read for the changes' handouts. Raises Unavailable (nothing written),
        OutcomeUnknown, or whatever `work` raised (rolled back). Not to be cancelled half-way: the caller shields it,
        and the store bounds its own time.
        """

    async def high_water_ms(self) -> int:
        """The latest time any batch was committed at; 0 in a new store."""

    async def calm_ms(self) -> int:
        """Until when some node has owed no lease anything; 0 in a new store. See `Changes.calm_ms`."""

    async def aclose(self) -> None:
        """Close every connection. Bounded."""
