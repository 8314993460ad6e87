"""Retention: what is older than it has to be kept goes, a small piece in each step.

A pass looks at the start and then every few minutes for what is too old, and asks the committer to let it go, as
anybody asks it for anything. One step is one read and one commit at most, so that no deadline waits for long behind it.
What has been found is in memory only: a pass that ends early is made again, and what was pruned and is not erased yet
stands in the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from msgspec import Struct

from oris.clock import EngineClock
from oris.core.audit_anchor import AnchorKey, Uncut, cut
from oris.core.commands import Command, Erase, ForgetNodes, ForgetSessions, ForgetWorker, Prune, PruneAudit
from oris.core.replies import Forgotten, RunsPruned
from oris.core.retention import Found, may_go
from oris.engine.admission import Admission
from oris.engine.committer import Committer
from oris.engine.observer import Observer, Passed
from oris.engine.roster import Roster
from oris.engine.unit import Unit
from oris.ids import JobKey, WorkerKey
from oris.storage.reads.retention import OldPlace, RetentionReads

LOOKED_AT = 500
"""Rows that one read looks at."""
THREADS_AT_ONCE = 10
RUNS_AT_ONCE = 16
"""Threads in one commit, and runs of each: a few rows each."""
RUNS_MOST = 8192
"""Runs of one thread that go in one commit when it has to be so: replays that go on from one another go together. A
longer line stays: what is deleted takes its time, which no deadline is met in."""
TRIES = 3
"""How often a thread that moves while it is looked at is looked at in one pass."""
ERASED_RUNS = 20
"""Pruned runs that are erased in one commit."""
ERASED_ROWS = 1000
ERASED_BYTES = 4 * 1024 * 1024
"""Rows of a kind, and bytes of payloads, that are deleted in one commit."""
RECORDS_AT_ONCE = 500
WORKERS_AT_ONCE = 100
NODES_MS = 86_400_000
"""A node of which nothing was heard for so long is gone, however long other things are kept: its row tells nothing."""


class RetentionRules(Struct, frozen=True):
    """How long what is kept. Times in ms; 0: for ever."""

    runs_ms: int = 0
    """Runs after their end, workers and sessions after they were heard of last."""
    audit_ms: int = 0
    anchor_key: AnchorKey | None = None
    """Signs what is left of an audit chain; without one none is cut."""
    hold: bool = False
    """Nothing goes, whatever its age."""
    every_ms: int = 300_000
    """From one pass to the next."""


class OldThread:
    """A thread that may be pruned, and what was found of it so far."""

    def __init__(self, key: JobKey) -> None:
        self.key = key
        self.found: Found | None = None
        self.tries = TRIES

    @property
    def after(self) -> int:
        """Where the next page of its runs begins."""
        return 0 if self.found is None else self.found.after or 0


class Retention:
    """One node's passes. `step` is called by the sweeper; everything else is synchronous."""

    def __init__(
        self,
        committer: Committer,
        reads: RetentionReads,
        roster: Roster,
        admission: Admission,
        observer: Observer,
        rules: RetentionRules,
        clock: EngineClock,
    ) -> None:
        self._committer = committer
        self._reads = reads
        self._roster = roster
        self._observer = observer
        self._rules = rules
        self._clock = clock
        self._admission = admission
        self._next_ms = 0
        self._not_before_ms = 0
        self._changed = False
        """Other rules have come while a duty was being done."""
        self._duties: deque[Callable[[], Awaitable[bool]]] = deque()
        """What is left of the pass under way; each answers whether it has more to do."""
        self._begin()

    def _begin(self) -> None:
        """Forget what the last pass has found."""
        self._passed = Passed()
        self._threads: deque[OldThread] = deque()
        """Threads that may be pruned, and are not done with."""
        self._place: OldPlace | None = None
        self._walked = False
        """The walk over old runs is at its end."""
        self._workers_after: tuple[int, WorkerKey] | None = None
        self._chain = ""

    @property
    def rules(self) -> RetentionRules:
        """What is in force."""
        return self._rules

    def set_rules(self, rules: RetentionRules) -> None:
        """Go by these from now on; a pass begins anew."""
        self._rules = rules
        self._duties.clear()
        self._next_ms = 0
        self._changed = True

    def wait(self, for_ms: int) -> None:
        """No pass begins before this time is over, whatever the rules become."""
        self._not_before_ms = self._clock.now_ms() + for_ms

    def _before_ms(self, kept_ms: int) -> int:
        """What is older than this may go. What goes too early is lost, so it is the earlier clock that counts."""
        return self._clock.cautious_ms() - kept_ms

    async def step(self) -> bool:
        """Do a little, if it is time; the answer is whether there is more to do at once.

        Cancelled, what it has asked for is committed whole or not at all, and found again. Raises StoreError.
        """
        if self._rules.hold or self._admission.draining:
            return False
        if not self._duties:
            if self._clock.now_ms() < max(self._next_ms, self._not_before_ms):
                return False
            self._begin()
            self._duties.extend(
                (
                    *(self._prune, self._erase, self._forget_sessions, self._forget_workers, self._forget_nodes),
                    self._prune_audit,
                )
            )
        self._changed = False
        more = await self._duties[0]()
        if self._changed:
            return True
        if not more:
            self._duties.popleft()
        if self._duties:
            return True
        self._next_ms = self._clock.now_ms() + self._rules.every_ms
        if any((self._passed.runs, self._passed.audit_records, self._passed.workers, self._passed.sessions)):
            self._observer.retention_passed(self._passed)
        return False

    async def _prune(self) -> bool:
        if not self._rules.runs_ms:
            return False
        before_ms = self._before_ms(self._rules.runs_ms)
        if not self._threads:
            if self._walked:
                return False
            found = await self._reads.old_threads(before_ms, self._place, LOOKED_AT)
            self._place, self._walked = found.after, found.after is None
            self._threads.extend(map(OldThread, found.threads))
            return True
        first = self._threads[0]
        if first.found is not None:
            # One of which more has to be looked at goes alone.
            await self._prune_some([first], min(LOOKED_AT, RUNS_MOST - len(first.found.ripe)), before_ms)
        else:
            few = [thread for thread in islice(self._threads, THREADS_AT_ONCE) if thread.found is None]
            await self._prune_some(few, RUNS_AT_ONCE, before_ms)
        return True

    async def _prune_some(self, threads: Sequence[OldThread], limit: int, before_ms: int) -> None:
        """Look at so many more runs of each, and have those go that may."""
        pages = await self._reads.oldest_runs([(thread.key, thread.after) for thread in threads], limit)
        if self._changed:
            return  # to be looked at again by the rules that are in force now
        cuts = []
        for thread, page in zip(threads, pages, strict=True):
            thread.found = found = may_go(thread.found, page, before_ms)
            if found is None:
                self._again(thread)
            elif found.cut is not None:
                cuts.append((thread, found.cut, found.after is not None))
                thread.found = None  # should this come to nothing
            elif found.after is None or len(found.ripe) >= RUNS_MOST:
                self._threads.remove(thread)
        replies = await self._ask([Prune(thread.key, cut) for thread, cut, _ in cuts]) if cuts else ()
        for (thread, _, more), reply in zip(cuts, replies, strict=True):
            if isinstance(reply, RunsPruned) and not reply.count:
                self._again(thread)
                continue
            self._threads.remove(thread)
            if isinstance(reply, RunsPruned):
                self._passed.runs += reply.count
                if more:
                    self._threads.append(OldThread(thread.key))

    def _again(self, thread: OldThread) -> None:
        """From its beginning, unless that was in vain too often: then the next pass finds it."""
        self._threads.remove(thread)
        thread.found, thread.tries = None, thread.tries - 1
        if thread.tries:
            self._threads.append(thread)

    async def _erase(self) -> bool:
        """What was pruned, by this pass or before a crash."""
        left = await self._reads.pruned_runs(ERASED_RUNS)
        if not left:
            return False
        rows, size = ERASED_ROWS // len(left), ERASED_BYTES // len(left)
        return await self._forgets([Erase(run.run_id, rows, size) for run in left]) > 0

    async def _forget_sessions(self) -> bool:
        if not self._rules.runs_ms:
            return False
        old = await self._reads.old_sessions(self._before_ms(self._rules.runs_ms), WORKERS_AT_ONCE)
        gone = await self._forgets([ForgetSessions(tuple(old))]) if old else 0
        self._passed.sessions += gone
        return gone > 0

    async def _forget_workers(self) -> bool:
        """The row tells of grants; who only asks is heard of in memory."""
        if not self._rules.runs_ms:
            return False
        before_ms = self._before_ms(self._rules.runs_ms)
        found = await self._reads.old_workers(before_ms, self._workers_after, WORKERS_AT_ONCE)
        self._workers_after = found.after
        silent = [key for key in found.workers if self._roster.let_go(key, before_ms)]
        if silent:
            self._passed.workers += await self._forgets([ForgetWorker(key, before_ms) for key in silent])
        return found.after is not None

    async def _forget_nodes(self) -> bool:
        before_ms = self._clock.now_ms() - NODES_MS
        old = await self._reads.old_nodes(before_ms, WORKERS_AT_ONCE)
        return bool(old) and await self._forgets([ForgetNodes(tuple(old), before_ms)]) > 0

    async def _prune_audit(self) -> bool:
        """A chain at a time, and of a chain a piece at a time, until what it begins with is young enough."""
        rules = self._rules
        if not rules.audit_ms or rules.anchor_key is None:
            return False
        found = await self._reads.old_audit(self._chain, RECORDS_AT_ONCE)
        if found is None:
            return False
        before_ms = self._before_ms(rules.audit_ms)
        anchor = cut(rules.anchor_key, found.chain_id, found.anchor, found.records, before_ms)
        if isinstance(anchor, Uncut):
            self._observer.audit_not_cut(anchor)
        gone = 0 if anchor is None or isinstance(anchor, Uncut) else await self._forgets([PruneAudit(anchor)])
        self._passed.audit_records += gone
        if not gone:
            self._chain = found.chain_id
        return True

    async def _forgets(self, commands: Sequence[Command]) -> int:
        if self._rules.hold:
            return 0  # it came while this was being looked for
        return sum(reply.count for reply in await self._ask(commands) if isinstance(reply, Forgotten))

    async def _ask(self, commands: Sequence[Command]) -> Sequence[object]:
        return (await self._committer.ask(Unit("sweep", commands))).replies
