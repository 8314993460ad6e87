"""One server process: the real engine and route table on the simulated disk, killed and started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random

import trio
from msgspec.structs import replace

from oris.api.auth import Authenticator, Credential
from oris.api.dispatch import Dispatcher, Seen
from oris.api.http import Answer, Role
from oris.api.routes import route_table
from oris.api.services import ApiBounds, Health, Services
from oris.clock import EngineClock
from oris.core.changes import Changes, Handed
from oris.engine.engine import Engine, EngineSettings
from oris.ids import RunId, node_id
from oris.sim.answers import AnswerCheck
from oris.sim.clock import WallClock
from oris.sim.commits import CommitCheck
from oris.sim.disk import Disk
from oris.sim.faults import Faults
from oris.sim.full_disk import FullDisk
from oris.sim.judge import Judge
from oris.sim.outages import KnownOutages
from oris.sim.prompt import Promptness
from oris.sim.repeats import Repeats
from oris.sim.sizes import NODE
from oris.sim.store import Died, FaultyStore
from oris.sim.trace import Trace
from oris.sim.witness import Witness
from oris.storage.hints import Hints
from oris.storage.sqlite.store import SqliteStore

BODY_MAX_BYTES = 64 * 1024
SUBMITS = ("/v1/jobs", "/v1/jobs/run", "/v1/jobs/batch")
PROMPT_MS = 50
"""Within this after a grace a session is dropped."""
FORGIVEN_MS = 350
"""After trouble: a pass of the sweeper that failed is made again within its look at the store."""
_NEVER_MS = 2**62
CREDENTIALS = (
    Credential("bearer", "simulated-client", Role.CLIENT),
    Credential("bearer", "simulated-worker", Role.WORKER),
    Credential("bearer", "simulated-operator", Role.OPERATOR),
)


class Life:
    """One process, from its start to its death."""

    def __init__(self) -> None:
        self.leave: Callable[[], None] = lambda: None
        """Takes the disk from its store."""
        self.dead = False
        self.scope = trio.CancelScope()
        self.connections: dict[trio.CancelScope, None] = {}
        self.engine: Engine | None = None
        self.dispatcher: Dispatcher[Services] | None = None

    def crash(self) -> None:
        """First all its effects are cut, then its tasks end. Synchronous."""
        if self.dead:
            return
        self.dead = True
        self.leave()
        for scope in self.connections:
            scope.cancel(reason="the server has died")
        self.scope.cancel(reason="the server has died")


class Server:
    """The machine: starts a process, and another one when that has died."""

    def __init__(
        self,
        disk: Disk,
        wall: WallClock,
        faults: Faults,
        witness: Witness,
        commits: CommitCheck,
        prompt: Promptness,
        judge: Judge,
        trace: Trace,
        settings: EngineSettings,
        random: Callable[[str], Random],
        outages: KnownOutages,
        repeats: Repeats,
        name: str = NODE,
        hints: Hints | None = None,
    ) -> None:
        """`hints`: the way to the other nodes, if there are any; `name` is this one's."""
        self.account = outages
        self.name = name
        self._hints = hints
        self._prefix = "" if name == NODE else f"{name}."
        self._disk = disk
        self._wall = wall
        self._faults = faults
        self._witness = witness
        self._commits = commits
        self.prompt = prompt
        self._judge = judge
        self._trace = trace
        self._settings = settings
        self._random = random
        self._repeats = repeats
        self._life: Life | None = None
        self.full_disk = FullDisk(faults, wall.monotonic_s, self.trouble)
        self.starts = 0
        self._stuck = 0
        self._quiet_since_ms = 0

    @property
    def quiet_since_ms(self) -> int:
        """Since when neither the server nor its store has been in trouble, in engine ms."""
        return _NEVER_MS if self._stuck else self._quiet_since_ms

    @contextmanager
    def _is_stuck(self) -> Iterator[None]:
        """A commit of this node takes its time, while other nodes go on."""
        self._stuck += 1
        try:
            yield
        finally:
            self._stuck -= 1

    @property
    def life(self) -> Life | None:
        """The process that answers now, if there is one."""
        life = self._life
        return None if life is None or life.dead or life.dispatcher is None else life

    def trouble(self) -> None:
        """Something took time that is nobody's fault: until now, being late is forgiven."""
        engine = None if self._life is None else self._life.engine
        if engine is not None:
            self._quiet_since_ms = max(self._quiet_since_ms, engine.clock.now_ms() + FORGIVEN_MS)

    def crash(self) -> None:
        """Kill the process, if there is one."""
        if self._life is not None:
            self._life.crash()
            self._died()

    def stand_still(self, seconds: float) -> None:
        """The process is stopped and goes on: what is time for everybody is a gap for it."""
        engine = None if self.life is None else self.life.engine
        if engine is not None:
            from_ms = engine.clock.now_ms()
            self._wall.stood_still_s += seconds
            self.account.stopped(from_ms, engine.clock.now_ms())
            self.trouble()

    def cut_connections(self) -> None:
        """A proxy in front of the server reloads: all calls that are under way end."""
        life = self.life
        if life is None or life.engine is None:
            return
        if life.engine.watched_sessions > 1:
            over_ms = life.engine.clock.now_ms() + life.engine.settings.disconnect_grace_ms
            self._commits.workers.connections_cut(over_ms + PROMPT_MS)
        for scope in list(life.connections):
            scope.cancel(reason="the proxy has cut the connection")

    def answered(self, path: str, answer: Answer) -> None:
        """I25: a full disk is felt by new runs alone. What simulated callers send is well-formed, in whatever bytes."""
        self._judge.require(answer.status != 400, "bug", path, f"refused as malformed: {answer.body.decode()}")
        engine = None if self.life is None else self.life.engine
        if engine is not None and answer.status == 503 and b'"inbox_full"' in answer.body:
            self.account.no_room(engine.clock.now_ms())
        if answer.status == 503 and b'"disk_full"' in answer.body:
            makes_runs = path in SUBMITS or path.endswith("/replay")
            self._judge.require(makes_runs, "I25", path, "refused for want of room, which only new runs need")

    async def run(self) -> None:
        """Until cancelled. A process that has died is followed by another one after a while."""
        while True:
            self._life = Life()
            self.starts += 1
            self._trace.note("server", f"{self._prefix}start {self.starts}")
            try:
                with self._life.scope:
                    await self._live(self._life)
            except* Died:
                self._trace.saw("died in a commit")
            finally:
                self._life.crash()
                self._died()
            self._trace.note("server", "dead")
            await trio.sleep_until(trio.current_time() + self._faults.how("restart").uniform(0.01, 1.5))

    def _died(self) -> None:
        engine = None if self._life is None else self._life.engine
        if engine is not None:
            self.account.died(engine.clock.now_ms())

    async def _live(self, life: Life) -> None:
        clock = EngineClock(self._wall)
        node = node_id(self.name, self.starts)
        inner = await SqliteStore.open(self._disk, clock.now_ms, node_id=node, inline=True, hints=self._hints)
        life.leave = inner.abandon
        clock.start_after(await inner.high_water_ms())
        if self.starts > 1:
            self._commits.whole()
        store = FaultyStore(
            inner,
            self._faults,
            crash=life.crash,
            trouble=self.trouble,
            seen=self._committed,
            take=self.full_disk.take,
            stuck=self._is_stuck,
            outages=self.account,
            now_ms=clock.now_ms,
        )
        self.account.started(clock.now_ms())
        self._commits.workers.started()
        observer = AnswerCheck(
            self._witness,
            self._judge,
            self._trace,
            self._repeats,
            self._disk.total,
            self._settings.limits,
        )
        settings = replace(self._settings, node_id=node)
        engine = Engine(store, clock, self._random(f"{self._prefix}engine.{self.starts}"), observer, settings)
        engine.admission.no_room = self.full_disk.no_room
        life.engine = engine
        self.trouble()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._task, "committer", engine.committer.run)
            await nursery.start(self._task, "sweeper", engine.sweeper.run)
            await nursery.start(self._task, "monitor", engine.monitor.run)
            if self._hints is not None:
                await nursery.start(self._task, "cluster", engine.cluster.run)
            life.dispatcher = self._dispatcher(engine)

    async def _task(self, name: str, run: Callable[..., object], task_status: trio.TaskStatus[None]) -> None:
        """A task of the tree. In this form of the simulator one that fails is a violation."""
        try:
            await run(_beat, task_status)  # type: ignore[misc]
        except Exception as error:
            self._judge.require(False, "bug", name, f"the task failed with {error!r}")
            return
        self._judge.require(False, "bug", name, "the task returned")

    def _dispatcher(self, engine: Engine) -> Dispatcher[Services]:
        random = self._random(f"{self._prefix}ids.{self.starts}")
        services = Services(
            engine=engine,
            random=random,
            bounds=ApiBounds(),
            health=_health,
            metrics=lambda: b"",
            status=lambda: {},
        )
        return Dispatcher(
            route_table(BODY_MAX_BYTES),
            services,
            Authenticator(CREDENTIALS),
            clock=self._wall.monotonic_s,
            rng=random,
            fault_log=self._fault,
            observe=self._seen,
        )

    def _committed(self, changes: Changes, handed: Mapping[RunId, Handed], now_ms: int) -> None:
        """A batch is durable, and nobody has heard of it yet."""
        self._commits(changes, handed, now_ms, self.name)
        self.prompt.check(now_ms)

    def _fault(self, request_id: str, method: str, path: str, error: BaseException) -> None:
        self._judge.require(False, "bug", f"{method} {path}", f"the handler raised {error!r}")

    def _seen(self, seen: Seen) -> None:
        self._trace.saw(f"http {seen.status}")


def _beat() -> None:
    """Nobody watches the progress of tasks here; the virtual time of answers tells of hangs."""


def _health() -> Health:
    return Health(alive=True, ready=True, mode="serving", store="ok", migrations="applied", tasks={})
