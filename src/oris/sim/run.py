"""One simulation: a seed in, an outcome out."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from oris.core.audit_anchor import AnchorKey
from oris.core.hold import HoldRules
from oris.core.limits import Limits
from oris.core.quarantine import QuarantineRules
from oris.engine.bounds import CommitBounds
from oris.engine.engine import EngineSettings
from oris.engine.retention import RetentionRules
from oris.ids import NO_TENANT, WorkerId, WorkerKey, worker_key
from oris.sim.client import WORKFLOWS, Client
from oris.sim.clock import JumpingClock, WallClock, pause
from oris.sim.commits import CommitCheck
from oris.sim.crash_loop import WORKFLOW as LOOP
from oris.sim.crash_loop import CrashLoop
from oris.sim.determinism import deterministic
from oris.sim.disk import Disk
from oris.sim.faults import ONLY_OF_ONE_NODE, Faults
from oris.sim.fleet import BACKSTOP_MS, FaultyHints, Fleet
from oris.sim.follower import Follower
from oris.sim.holds import HoldAccount
from oris.sim.judge import Judge
from oris.sim.ledger import Ledger
from oris.sim.network import Network
from oris.sim.operator import Operator
from oris.sim.outages import KnownOutages, Outages
from oris.sim.outcome import Outcome
from oris.sim.person import Person
from oris.sim.prompt import REACH_MS, Promptness
from oris.sim.repeats import Repeats
from oris.sim.retention import LATE_MS
from oris.sim.server import Server
from oris.sim.sizes import NODE, Sizes
from oris.sim.streams import Streams
from oris.sim.switcher import Switcher
from oris.sim.trace import Trace
from oris.sim.witness import Witness
from oris.sim.worker import Worker
from oris.storage.hints import LocalHints

DEFAULT_SIZES = Sizes()
CRASH_LOOPS = 0.3
"""In which part of the seeds there is a crash loop."""
_NEVER_MS = 2**62
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def simulate(seed: int, sizes: Sizes = DEFAULT_SIZES, *, keep_trace: bool = False) -> Outcome:
    """Run one seed. Blocks for as long as it takes in real time; not to be called inside `trio.run`."""
    simulation = Simulation(seed, sizes, keep_trace=keep_trace)
    with deterministic(seed):
        trio.run(simulation.run, clock=simulation.clock)
    simulation.disk.close()
    return simulation.outcome()


class Simulation:
    """The parts of one run, wired together."""

    def __init__(self, seed: int, sizes: Sizes, *, keep_trace: bool = False) -> None:
        self.seed = seed
        self.sizes = sizes
        self.clock = JumpingClock(self._standstill)
        self.wall = WallClock(self.clock)
        self.streams = Streams(seed)
        self.faults = Faults(self.streams)
        self.trace = Trace(self.wall, keep=keep_trace)
        self.scope = trio.CancelScope()
        self.over = False
        self.judge = Judge(self._stop)
        self.disk = Disk()
        self.loops = self.streams("crash loops").random() < CRASH_LOOPS
        self.settings = _settings(self.streams, loops=self.loops)
        self.nodes = _nodes(self.streams)
        self.unseen_ms = BACKSTOP_MS if self.nodes > 1 else 0
        if self.nodes > 1:
            self.faults.leave_out(ONLY_OF_ONE_NODE)
        self.crash_loop: CrashLoop | None = None
        self.filters: dict[WorkerKey, frozenset[str]] = {}
        losses = self.settings.limits.max_lease_losses
        accounts = [KnownOutages() for _ in range(self.nodes)]
        outages = Outages(accounts)
        holds = HoldAccount(self.judge, self.trace, self.settings.limits.hold)
        self.witness = Witness(self.judge, self.trace, losses, lambda: self.fleet.quiet_since_ms, outages, holds)
        self.witness.slack_ms += self.unseen_ms
        rules = self.settings.limits.quarantine
        kept_ms = self.settings.retention.runs_ms
        self.commits = CommitCheck(
            self.disk,
            self.witness,
            self.judge,
            self.trace,
            self.filters,
            rules,
            kept_ms,
            self.wall,
            self.unseen_ms,
        )
        prompt = Promptness(
            self.witness,
            self.judge,
            self.filters,
            self._prompt_since_ms,
            self.commits.workers.free_since_ms,
            limited=self.settings.worker_limit < 100 or self.settings.tenant_limit < 1000,
            at_once=_at_once(self.settings),
            reach_ms=self.unseen_ms + REACH_MS,
        )
        self.ledger = Ledger(self.witness, self.judge)
        self.hints = FaultyHints(LocalHints(), self.faults)
        self.fleet = self._fleet(prompt, accounts)
        self.follower = Follower(
            self.fleet, self.ledger, self.witness, self.judge, self.trace, self.streams("follower")
        )

    def _fleet(self, prompt: Promptness, accounts: Sequence[KnownOutages]) -> Fleet:
        """A server for each account."""
        repeats = Repeats(self.judge)
        parts = (self.disk, self.wall, self.faults, self.witness, self.commits, prompt, self.judge, self.trace)
        names = (NODE, *(f"sim:{number}" for number in range(2, len(accounts) + 1)))
        hints = self.hints if len(accounts) > 1 else None
        servers = [
            Server(*parts, self.settings, self.streams, account, repeats, name, hints)
            for name, account in zip(names, accounts, strict=True)
        ]
        return Fleet(servers, self.streams("route"))

    async def run(self) -> None:
        """Both phases."""
        with self.scope:
            async with trio.open_nursery() as background:
                self.hints.nursery = background
                background.start_soon(self.fleet.run)
                network = Network(self.fleet, self.faults, self.streams, self.trace, background)
                for number in range(self.sizes.workers):
                    processes = ("", "twin") if self.faults.strikes("twin_worker") else ("",)
                    for worker in self._workers(f"w{number}", processes, network):
                        background.start_soon(worker.run)
                for name in ("ann", "bob"):
                    person = Person(name, network, self.ledger, self.trace, self.streams(f"person.{name}"))
                    background.start_soon(person.run)
                background.start_soon(self.follower.run)
                if self.loops:
                    background.start_soon(self._crash_loop(network).run)
                switcher = Switcher(network, self.trace, self.streams("switcher"))
                await self._safety(network, switcher)
                await self._liveness(switcher)
                background.cancel_scope.cancel(reason="the simulation is over")
        self.over = True

    def outcome(self) -> Outcome:
        """What came of it."""
        return Outcome(
            seed=self.seed,
            trace_hash=self.trace.digest(),
            virtual_s=round(self.clock.current_time(), 6),
            commits=self.witness.commit,
            runs=len(self.witness.runs),
            restarts=self.fleet.restarts,
            faults=dict(sorted(self.faults.hits.items())),
            sometimes=dict(sorted(self.trace.sometimes.items())),
            violations=tuple(self.judge.found),
        )

    async def _safety(self, network: Network, switcher: Switcher) -> None:
        """Clients ask, faults strike."""
        sizes = self.sizes
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(sizes.safety_s):
                async with trio.open_nursery() as clients:
                    nursery.start_soon(self._chaos, network)
                    if self.streams("switches").random() < 0.3:
                        nursery.start_soon(switcher.run)
                    for number in range(sizes.clients):
                        name = f"c{number}"
                        random = self.streams(f"client.{name}")
                        client = Client(
                            name, network, self.ledger, self.trace, random, sizes.jobs_per_client, sizes.threads
                        )
                        clients.start_soon(client.run, sizes.safety_s * 0.6 / sizes.jobs_per_client)
                    if self.streams("replays").random() < 0.5:
                        clients.start_soon(self._operator(network).run, sizes.safety_s * 0.6 / sizes.jobs_per_client)
            nursery.cancel_scope.cancel(reason="the safety phase is over")

    async def _liveness(self, switcher: Switcher) -> None:
        """L1: nothing fails any more, and every run ends."""
        self.faults.healed = True
        self.trace.note("phase", "liveness")
        self.wall.set_late()
        self.fleet.trouble()
        with trio.move_on_after(self.sizes.liveness_s):
            await switcher.all_on()
            while not self.fleet.is_up or self._is_under_way():
                if not self.commits.modes.all_on:
                    # A copy of an earlier switch that was late on its way: operators look again.
                    await switcher.all_on()
                await pause(0.1)
        submitted = self.crash_loop is None or self.crash_loop.submitted
        self.judge.require(submitted, "L1", "crash loop", "its jobs were never accepted")
        for run in self.witness.runs.values():
            self.judge.require(run.over, "L1", run.run_id, f"is still {run.status}")
        await pause(1.0)
        if self.settings.retention.runs_ms:
            await pause((self.settings.retention.runs_ms + LATE_MS) / 1000)
            self.commits.retention.settle(self.commits.last_now_ms)
        self.commits.whole()
        rows = self.disk.snapshot()
        self.ledger.settle(rows)
        self.follower.settle(rows)
        if self.crash_loop is not None:
            self.crash_loop.settle(rows)

    def _is_under_way(self) -> bool:
        """Whether there are runs that are not over, or still to come."""
        if self.crash_loop is not None and not self.crash_loop.submitted:
            return True
        return any(not run.over for run in self.witness.runs.values())

    async def _chaos(self, network: Network) -> None:
        """What strikes out of nowhere."""
        when = self.streams("chaos")
        while True:
            await pause(when.uniform(0.5, 8.0))
            if self.faults.strikes("server_crash"):
                self.fleet.any().crash()
            if self.faults.strikes("clock_set"):
                self._set_clock(self.wall.off_ms + self.faults.how("clock_set").randint(-3000, 3000))
            if self.faults.strikes("proxy_cut"):
                self.trace.note("proxy", "cut")
                self.fleet.cut_connections()
                network.partition(self.faults.how("proxy_cut").choice((0.0, 0.0, 0.5, 2.0, 5.0)))
            if self.faults.strikes("server_stopped"):
                how = self.faults.how("server_stopped")
                self.fleet.any().stand_still(how.uniform(2.0, 60.0))
                if how.random() < 0.4:  # it dies before it has made up for that
                    await pause(how.uniform(0.0, 0.05))
                    self.fleet.any().crash()
            if self.faults.strikes("disk_full"):
                self.fleet.fill_disk()
                self.trace.note("disk", "full")
            if self.faults.strikes("clock_far"):
                await self._far_off()

    def _set_clock(self, off_ms: int) -> None:
        self.wall.set(off_ms)
        self.fleet.trouble()
        self.trace.note("clock", f"off by {off_ms}")

    async def _far_off(self) -> None:
        """The wall clock is wrong by hours, or more than a year, and later set right; perhaps a server starts with it.
        A machine that has slept looks the same: its wall clock has gone on, and nothing else has."""
        how, right_ms = self.faults.how("clock_far"), self.wall.off_ms
        far_ms = how.choice((-400 * DAY_MS, -2 * HOUR_MS, 2 * HOUR_MS, 20 * HOUR_MS, 400 * DAY_MS))
        self._set_clock(right_ms + far_ms)
        if how.random() < 0.5:
            self.fleet.any().crash()
        await pause(how.uniform(0.5, 4.0))
        if how.random() < 0.5:
            self.fleet.any().crash()
        self._set_clock(right_ms)

    def _prompt_since_ms(self) -> int:
        """Since when work that waits has to reach a poll at once."""
        since_ms = self.commits.modes.dispatches_since_ms
        return _NEVER_MS if since_ms is None else max(since_ms + self.unseen_ms, self.fleet.quiet_since_ms)

    def _operator(self, network: Network) -> Operator:
        """Somebody who replays; not in every run."""
        random = self.streams("operator")
        return Operator(network, self.ledger, self.witness.runs, self.trace, random, self.sizes.jobs_per_client)

    def _crash_loop(self, network: Network) -> CrashLoop:
        """Pods with fresh names that die, and the worker that comes once they are mended."""
        key = worker_key(NO_TENANT, WorkerId("mended"))
        self.filters[key] = frozenset({LOOP})
        parts = (network, self.ledger, self.witness, self.faults, self.trace)
        mended = Worker("mended", *parts, self.streams("worker.mended"), [LOOP])
        random = self.streams("crash loop")
        self.crash_loop = CrashLoop(network, self.ledger, self.judge, self.trace, random, self.filters, mended.run)
        self.witness.protects = self.crash_loop.protects
        return self.crash_loop

    def _workers(self, name: str, processes: tuple[str, ...], network: Network) -> list[Worker]:
        """The processes that work under one name, all for the same workflows."""
        chosen = self.streams(f"workflows.{name}")
        workflows = sorted(chosen.sample(WORKFLOWS, 2)) if name != "w0" and chosen.random() < 0.3 else None
        if self.loops and workflows is None:
            workflows = sorted(WORKFLOWS)  # nobody helps the pods
        if workflows is not None:
            self.filters[worker_key(NO_TENANT, WorkerId(name))] = frozenset(workflows)
        parts = (network, self.ledger, self.witness, self.faults, self.trace)
        return [Worker(name, *parts, self.streams(f"worker.{name}{p}"), workflows, p) for p in processes]

    def _standstill(self) -> None:
        # At the very end Trio's own last task waits for its socket.
        if not self.scope.cancel_called and not self.over:
            self.judge.require(False, "L3", "everything", "waits, and nothing will come")

    def _stop(self) -> None:
        self.scope.cancel(reason="an invariant is violated")


def _nodes(streams: Streams) -> int:
    """How many nodes there are."""
    draw = streams("nodes").random()
    return 1 if draw < 0.5 else 2 if draw < 0.8 else 3


def _at_once(settings: EngineSettings) -> int:
    """How many leases may be all that one commit can give out. Where bytes are short, one may be too large already."""
    limits = settings.limits
    few_bytes = limits.commit_bytes_max < limits.answer_max_bytes
    return 1 if few_bytes else min(limits.commit_grants_max, settings.bounds.max_heads)


def _settings(streams: Streams, *, loops: bool) -> EngineSettings:
    """The limits, drawn too: mostly wide, sometimes so narrow that they are met. A crash loop needs room."""
    draw = streams("settings")

    def narrow(wide: int, *values: int) -> int:
        value = draw.choice(values)
        return value if draw.random() < 0.2 and not loops else wide

    bounds = streams("bounds")

    def tight(wide: int, *values: int) -> int:
        value = bounds.choice(values)
        return value if bounds.random() < 0.25 else wide

    return EngineSettings(
        limits=Limits(
            max_lease_losses=max(draw.randint(2, 5), 5 if loops else 0),
            queue_max=narrow(100_000, 6, 10),
            tenant_queue_max=narrow(100_000, 3, 5),
            fairness="fifo" if draw.random() < 0.3 else "round_robin",
            quarantine=QuarantineRules(after_incidents=streams("quarantine").randint(2, 5), first_window_ms=1500),
            delayed_max=tight(1_000_000, 4, 8),
            tenant_delayed_max=tight(500_000, 2, 4),
            commit_grants_max=tight(512, 1, 2, 3),
            commit_bytes_max=tight(16 * 1024 * 1024, 1, 200, 2000),
            hold=HoldRules(losses=8, runs=3, again=2, first_pause_ms=200, longest_pause_ms=2000, spares_ms=20_000),
        ),
        retention=_retention(streams),
        disconnect_grace_ms=streams("grace").choice((0, 150, 300, 1000)),
        worker_limit=narrow(100, 1, 2),
        tenant_limit=narrow(1000, 1, 2, 3),
        inbox_max_commands=narrow(20_000, 1, 2),
        bounds=CommitBounds(max_commands=narrow(512, 1, 4), max_heads=tight(1024, 1, 4)),
    )


def _retention(streams: Streams) -> RetentionRules:
    """In a part of the runs things are kept for seconds, so that they are seen to go."""
    draw = streams("retention")
    if draw.random() < 0.6:
        return RetentionRules()
    return RetentionRules(
        runs_ms=draw.choice((1500, 3000, 6000)),
        audit_ms=draw.choice((0, 2000)),
        anchor_key=AnchorKey("simulated" * 4),
        every_ms=draw.choice((200, 1000)),
    )
