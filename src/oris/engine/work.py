"""Which lanes may hold work, kept by what polls can wish for: so that a poll finds its lanes, and a lane its polls,
without a look at the others. A hundred thousand lanes that nobody wants cost nothing.

A tenant at the server's limit is shut: its lanes are there, and nobody is shown them until it is opened. Shutting and
opening touches none of its lanes, however many they are: a lane of a shut tenant that is met on the way to another is
put aside, and only those that were put aside have to be looked at when the tenant is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from itertools import islice
from typing import TypeVar

from oris.core.model import Lane
from oris.engine.lines import Wish
from oris.ids import TenantId


class Work:
    """Lanes by tenant and by workflow. Reading them is in rotation: those that were taken go behind the others."""

    def __init__(self) -> None:
        self._lanes: dict[TenantId, dict[str, None]] = {}
        """The workflows of each tenant, shut or not."""
        self._open: dict[TenantId, None] = {}
        """Tenants with lanes that are not shut."""
        self._shut: dict[TenantId, None] = {}
        """Tenants at the server's limit, also those without a lane."""
        self._of_workflow: dict[str, dict[TenantId, None]] = {}
        """The tenants with such a lane, but for those that were put aside."""
        self._aside: dict[str, dict[TenantId, None]] = {}
        """Shut tenants with such a lane that were met."""
        self._aside_of: dict[TenantId, dict[str, None]] = {}
        """The same by tenant."""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, lane: Lane) -> bool:
        return lane.workflow in self._lanes.get(lane.tenant_id, ())

    def is_shut(self, tenant_id: TenantId) -> bool:
        """True when the tenant is at the server's limit."""
        return tenant_id in self._shut

    def shut_tenants(self) -> tuple[TenantId, ...]:
        """The tenants at the server's limit."""
        return tuple(self._shut)

    def add(self, lane: Lane) -> bool:
        """A lane may hold work; False: that was known."""
        mine = self._lanes.setdefault(lane.tenant_id, {})
        if lane.workflow in mine:
            return False
        mine[lane.workflow] = None
        self._size += 1
        if lane.tenant_id in self._shut:
            self._put_aside(lane.tenant_id, lane.workflow)
        else:
            self._open[lane.tenant_id] = None
            self._of_workflow.setdefault(lane.workflow, {})[lane.tenant_id] = None
        return True

    def discard(self, lane: Lane) -> None:
        """A lane is empty."""
        mine = self._lanes.get(lane.tenant_id)
        if mine is None or lane.workflow not in mine:
            return
        del mine[lane.workflow]
        self._size -= 1
        if not mine:
            del self._lanes[lane.tenant_id]
            self._open.pop(lane.tenant_id, None)
        _drop(self._of_workflow, lane.workflow, lane.tenant_id)
        _drop(self._aside, lane.workflow, lane.tenant_id)
        _drop(self._aside_of, lane.tenant_id, lane.workflow)

    def shut(self, tenant_id: TenantId) -> None:
        """A tenant is at the server's limit."""
        self._shut[tenant_id] = None
        self._open.pop(tenant_id, None)

    def open(self, tenant_id: TenantId) -> list[Wish]:
        """A tenant has room again. The answer: wishes of which nobody knew any more that they can be fulfilled."""
        if tenant_id not in self._shut:
            return []
        del self._shut[tenant_id]
        if tenant_id not in self._lanes:
            return []
        self._open[tenant_id] = None
        again = [Wish(None, None), Wish(tenant_id, None)]
        for workflow in self._aside_of.pop(tenant_id, ()):
            _drop(self._aside, workflow, tenant_id)
            self._of_workflow.setdefault(workflow, {})[tenant_id] = None
            again += (Wish(None, workflow), Wish(tenant_id, workflow))
        return again

    def knows(self, wish: Wish) -> bool:
        """True when there is a lane that fulfils a wish, shut or not. Cheap: polls may have a hundred wishes each."""
        tenant_id, workflow = wish.tenant_id, wish.workflow
        if tenant_id is not None:
            mine = self._lanes.get(tenant_id, ())
            return bool(mine) if workflow is None else workflow in mine
        return workflow is None or workflow in self._of_workflow or workflow in self._aside

    def has(self, wish: Wish) -> bool:
        """True when a poll with this wish may find something."""
        return self.knows(wish) and bool(self.first(wish, 1))

    def first(self, wish: Wish, limit: int) -> list[Lane]:
        """The next so many lanes of open tenants that fulfil a wish: each tenant's next before anybody's second."""
        tenant_id, workflow = wish.tenant_id, wish.workflow
        if workflow is None:
            return self._by_turns(self._open if tenant_id is None else (tenant_id,), limit)
        if tenant_id is None:
            return [Lane(each, workflow) for each in self._open_with(workflow, limit)]
        if workflow not in self._lanes.get(tenant_id, ()):
            return []
        if tenant_id in self._shut:
            self._put_aside(tenant_id, workflow)
            return []
        return [Lane(tenant_id, workflow)]

    def shares(self, wished: Collection[Wish], limit: int) -> list[Lane]:
        """So many lanes, of each wish as many; what one has no use for, the others get."""
        found: dict[Lane, None] = {}
        share = max(1, limit // max(1, len(wished)))
        more: list[Wish] = []
        for wish in wished:
            lanes = self.first(wish, share)
            found.update(dict.fromkeys(lanes))
            if len(lanes) == share:
                more.append(wish)
            if len(found) >= limit:
                return list(found)[:limit]
        for wish in more:
            found.update(dict.fromkeys(self.first(wish, limit)))
            if len(found) >= limit:
                break
        return list(found)[:limit]

    def shut_lanes(self, wish: Wish, limit: int) -> list[Lane]:
        """The next so many lanes of shut tenants that have one which fulfils a wish: of such a tenant all, for what is
        older in another one goes first. Of a workflow only those tenants that were met; before the others stand enough
        open ones."""
        tenant_id, workflow = wish.tenant_id, wish.workflow
        tenants: Collection[TenantId]
        if tenant_id is not None:
            fits = tenant_id in self._shut and (workflow is None or workflow in self._lanes.get(tenant_id, ()))
            tenants = (tenant_id,) if fits else ()
        else:
            tenants = self._shut if workflow is None else self._aside.get(workflow, {})
        lanes = (Lane(each, name) for each in tenants for name in self._lanes.get(each, ()))
        return list(islice(lanes, limit))

    def are_all_in(self, wish: Wish, seen: Container[TenantId]) -> bool:
        """True when these are all open tenants with a lane that fulfils a wish. Those that were not taken for the
        longest stand in front, so a missing one is found soon."""
        tenant_id, workflow = wish.tenant_id, wish.workflow
        if tenant_id is not None:
            return tenant_id in seen or not self.has(wish)
        tenants = self._open if workflow is None else self._of_workflow.get(workflow, ())
        return all(each in seen or each in self._shut for each in tenants)

    def taken(self, lanes: Iterable[Lane]) -> None:
        """These were read: behind all others with them."""
        for lane in lanes:
            tenant_id, workflow = lane.tenant_id, lane.workflow
            _to_the_end(self._lanes.get(tenant_id), workflow)
            _to_the_end(self._open, tenant_id)
            _to_the_end(self._shut, tenant_id)
            _to_the_end(self._of_workflow.get(workflow), tenant_id)
            _to_the_end(self._aside.get(workflow), tenant_id)

    def _by_turns(self, tenants: Iterable[TenantId], limit: int) -> list[Lane]:
        """One lane of each tenant, then a second of each that has one, and so on."""
        found: list[Lane] = []
        going = [(each, iter(self._lanes[each])) for each in islice(tenants, limit) if each in self._open]
        while going and len(found) < limit:
            still = []
            for each, workflows in going:
                workflow = next(workflows, None)
                if workflow is not None:
                    found.append(Lane(each, workflow))
                    still.append((each, workflows))
            going = still
        return found[:limit]

    def _open_with(self, workflow: str, limit: int) -> list[TenantId]:
        found: list[TenantId] = []
        met: list[TenantId] = []
        for each in self._of_workflow.get(workflow, ()):
            (met if each in self._shut else found).append(each)
            if len(found) == limit:
                break
        for each in met:
            self._put_aside(each, workflow)
        return found

    def _put_aside(self, tenant_id: TenantId, workflow: str) -> None:
        _drop(self._of_workflow, workflow, tenant_id)
        self._aside.setdefault(workflow, {})[tenant_id] = None
        self._aside_of.setdefault(tenant_id, {})[workflow] = None


_Outer = TypeVar("_Outer")
_Inner = TypeVar("_Inner")


def _drop(lines: dict[_Outer, dict[_Inner, None]], line: _Outer, each: _Inner) -> None:
    """Take it out, and with the last one the line."""
    found = lines.get(line)
    if found is not None:
        found.pop(each, None)
        if not found:
            del lines[line]


def _to_the_end(line: dict[_Inner, None] | None, each: _Inner) -> None:
    if line is not None and each in line:
        del line[each]
        line[each] = None
