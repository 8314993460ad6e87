"""A simulated reader of streams of events: follows threads through disconnects, crashes and restarts."""

from __future__ import annotations

from random import Random

import trio

from oris.api.dispatch import Admission
from oris.api.head import Head
from oris.api.http import Write
from oris.core.invariants import Snapshot
from oris.errors import StoreError
from oris.ids import JobKey, TenantId, ThreadId, job_key
from oris.sim.clock import pause
from oris.sim.fleet import Fleet
from oris.sim.judge import Judge
from oris.sim.ledger import Ledger
from oris.sim.server import Life
from oris.sim.trace import Trace
from oris.sim.witness import Witness

ENDS = frozenset({"completed", "cancelled", "dead_lettered"})
"""The types of the events that a run may end with."""


class Follower:
    """Reads one thread after another, each from where it has got to. What it was told is held against the store."""

    def __init__(
        self, fleet: Fleet, ledger: Ledger, witness: Witness, judge: Judge, trace: Trace, random: Random
    ) -> None:
        self._witness = witness
        self._fleet = fleet
        self._ledger = ledger
        self._judge = judge
        self._trace = trace
        self._random = random
        self._told: dict[JobKey, list[tuple[int, str]]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await pause(self._random.uniform(0.01, 0.5))
            runs = list(self._ledger.submits.values())[-6:]
            if runs:
                told = self._random.choice(runs)
                await self._follow(job_key(TenantId(told.tenant), ThreadId(told.thread)))

    def settle(self, rows: Snapshot) -> None:
        """I11: what was told of a thread is the beginning of its timeline: without a gap, and nothing twice."""
        for key, told in self._told.items():
            gone_seq = rows.jobs[key].pruned_seq if key in rows.jobs else 0
            stored = [(entry.seq, entry.event_type) for entry in rows.entries.get(key, []) if entry.seq > gone_seq]
            kept = [line for line in told if line[0] > gone_seq]
            self._judge.require(kept == stored[: len(kept)], "I11", key, "a listener was told something else")

    async def _follow(self, key: JobKey) -> None:
        """On a connection that breaks now and then, whoever breaks it."""
        life = self._fleet.any().life
        if life is None:
            return
        scope = trio.CancelScope(deadline=trio.current_time() + self._random.expovariate(0.5))
        life.connections[scope] = None
        try:
            with scope:
                await self._listen(life, key)
        finally:
            life.connections.pop(scope, None)

    async def _listen(self, life: Life, key: JobKey) -> None:
        assert life.dispatcher is not None
        tenant, _, thread = key.partition("/")
        told = self._told.setdefault(key, [])
        headers = [(b"authorization", b"Bearer simulated-client"), (b"last-event-id", b"%d" % _last(told))]
        head = Head("GET", f"/v1/jobs/{thread}/events", f"tenant_id={tenant}".encode(), headers)
        admitted = life.dispatcher.admit(head)
        assert isinstance(admitted, Admission), admitted
        answer = await life.dispatcher.run(admitted)
        self._trace.saw(f"follower got {answer.status}")
        if answer.stream is None:
            return
        try:
            await answer.stream(self._writer(life, key))
        except StoreError:
            self._trace.saw("stream cut by the store")
            return
        if not life.dead:
            self._trace.saw("stream ended")
            line = self._witness.threads.get(key)
            gone = line is not None and line.pruned_seq > _last(told)
            ended = bool(told) and told[-1][1] in ENDS
            self._judge.require(ended or gone, "I11", key, f"the stream has ended after {told[-1:]}")

    def _writer(self, life: Life, key: JobKey) -> Write:
        told = self._told[key]

        async def write(piece: bytes) -> None:
            if life.dead:
                return
            for message in piece.decode().split("\n\n"):
                fields = dict(line.partition(": ")[::2] for line in message.split("\n"))
                if "id" in fields:
                    seq, kind = int(fields["id"]), fields["event"]
                    self._trace.note("told", f"{key} {seq} {kind}")
                    thread = self._witness.threads.get(key)
                    begins = 0 if thread is None else thread.pruned_seq
                    # What has gone in between cannot be told any more; nothing else may be left out.
                    next_one = _last(told) < seq <= max(_last(told), begins) + 1
                    self._judge.require(next_one, "I11", key, f"told {seq} after {_last(told)}")
                    told.append((seq, kind))
            # A slow client: the next piece waits until this one has gone.
            await pause(self._random.expovariate(100.0))

        return write


def _last(told: list[tuple[int, str]]) -> int:
    return told[-1][0] if told else 0
