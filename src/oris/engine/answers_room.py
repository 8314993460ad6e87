"""Room for the answers of polls: what was granted and is not read yet, and which polls wait until there is room."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable

from oris.core.commands import Want
from oris.core.replies import Granted
from oris.engine.bell import Bell
from oris.engine.parked import Parked
from oris.ids import TenantId


class AnswersRoom:
    """What answers may still take. Who finds no room is granted nothing new: see `core.room.Answers`."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.left: Callable[[TenantId | None], int] = lambda tenant_id: sys.maxsize
        """How many bytes the answers of callers of this tenant may still take, beside those that were made. `again` has
        to be called whenever something is given back."""
        self._going: Counter[TenantId | None] = Counter()
        """Bytes that were granted to them, and of which no answer was made yet."""
        self._without: dict[TenantId | None, dict[Parked, None]] = {}
        """Polls that were looked at, and found no room."""
        self._is_short = False
        """Somebody may wait for it."""

    def left_for(self, tenant_id: TenantId | None) -> int:
        """How many bytes may still be granted to callers of this tenant."""
        left = self.left(tenant_id) - self._going.total()
        return left if tenant_id is None else left - self._going[tenant_id]

    def as_it_was_for(self, wants: Iterable[Want]) -> Callable[[TenantId | None], int]:
        """The same, later, but no more than now: room that comes up while the store reads is for the next batch.

        Without any, no lane was chosen to be read, and what is granted then would pass over older work.
        """
        had = {tenant_id: self.left_for(tenant_id) for tenant_id in {want.tenant_id for want in wants}}
        return lambda tenant_id: min(had[tenant_id], self.left_for(tenant_id))

    def granted(self, want: Want, granted: Granted) -> None:
        """So much goes out. It counts from here on, until its answer does."""
        if granted.carried_bytes:
            self._going[want.tenant_id] += granted.carried_bytes

    def answered(self, want: Want | None, granted: Granted | None) -> None:
        """Whoever has asked makes the answer now, before any other task runs; or has gone."""
        if want is None or granted is None or not granted.carried_bytes:
            return
        self._going[want.tenant_id] -= granted.carried_bytes
        if not self._going[want.tenant_id]:
            del self._going[want.tenant_id]
        self.again()

    def again(self) -> None:
        """There may be room again."""
        if self._is_short:
            self._bell.ring()

    def add(self, parked: Parked) -> None:
        """A poll waits until there is room."""
        self._without.setdefault(parked.want.tenant_id, {})[parked] = None
        self._is_short = True

    def discard(self, parked: Parked) -> None:
        """It does not wait for room any more; harmless when it did not."""
        line = self._without.get(parked.want.tenant_id)
        if line is not None:
            line.pop(parked, None)
            if not line:
                del self._without[parked.want.tenant_id]

    def is_there(self) -> tuple[bool, list[Parked]]:
        """Whether anything new may be granted, and who has waited for that until now."""
        if not self._is_short and self.left_for(None) > 0:
            return True, []
        tenants = [tenant_id for tenant_id in self._without if self.left_for(tenant_id) > 0]
        freed = [parked for tenant_id in tenants for parked in self._without[tenant_id]]
        is_there = self.left_for(None) > 0
        self._is_short = not is_there or len(tenants) < len(self._without)
        return is_there, freed
