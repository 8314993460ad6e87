"""Any sequence of commands, with any jumps of time, keeps the laws that `World` checks after every commit."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from oris.core import commands as c
from oris.core.commands import Want
from oris.core.deadlines import has_date
from oris.core.hold import HoldRules, is_held, lost_least, may_probe
from oris.core.limits import Limits
from oris.core.model import TERMINAL, Job, RetryPolicy
from oris.core.replies import Beaten, Refusal
from oris.ids import LeaseId

from . import laws
from .world import World, ack, heartbeat, key, report, submit, want

THREADS = ["t0", "t1", "t2", "t3"]
TENANTS = ["", "x"]
WORKERS = ["w1", "w2"]
POLICIES = [None, RetryPolicy("fixed", 0, 2), RetryPolicy("fixed", 400, 1), RetryPolicy("exponential", 300, 3, 500)]

SAID: dict[str, list[Any]] = {
    "workflow": ["a", "b"],
    "priority": [0, 1, 2],
    "idempotency_key": [None, None, "k", "l"],
    "timeout_ms": [None, None, 1, 300, 1_500],
    "on_timeout": ["failed", "cancelled"],
    "retry": POLICIES,
    "delay_ms": [0, 1, 500],
    "metadata": [b'{"m":"n"}'],
    "input": [None, b"[]"],
}
Act: TypeAlias = tuple[Any, ...]
KINDS = {
    "submit": 5,
    "poll": 6,
    "ack": 4,
    "report": 4,
    "time": 4,
    "beat": 2,
    "sweep": 2,
    "release": 1,
    "cancel": 1,
    "wall": 1,
}


class Scene(NamedTuple):
    """How often which kind of thing happens, and to what threads."""

    kinds: dict[str, int]
    threads: list[str]
    tenants: list[str]
    said: dict[str, list[Any]]


ANYTHING = Scene(KINDS, THREADS, TENANTS, SAID)
ONE_LANE_DIES = Scene(
    {"submit": 5, "poll": 5, "time": 5, "sweep": 5, "cancel": 4},
    [f"t{number}" for number in range(8)],
    [""],
    {name: values for name, values in SAID.items() if name != "workflow"},
)


def act(random: Random, scene: Scene) -> Act:
    """One thing that happens: a command, a poll or a jump of time. A lease is named by how long ago it was granted."""
    pick = random.choice
    lease = pick([0, 0, 0, 1, 1, 2, 5])
    thread = (pick(scene.threads), pick(scene.tenants))
    match pick([kind for kind, weight in scene.kinds.items() for _ in range(weight)]):
        case "submit":
            said = {name: pick(values) for name, values in scene.said.items() if random.random() < 0.4}
            return ("submit", *thread, said)
        case "cancel" | "sweep" as kind:
            return (kind, *thread)
        case "ack":
            status = pick(["completed", "failed", "failed", "cancelled"])
            return ("ack", lease, status, random.random() < 0.9, pick(POLICIES))
        case "report":
            status = pick(["started", "succeeded", "failed"])
            return ("report", lease, pick(["a1", "a2"]), status, pick([None, None, None, b"{}"]))
        case "release":
            return ("release", lease, pick([0, 300]))
        case "beat":
            return ("beat", lease, pick([1, 500, 2_000]), pick([True, False]), pick([None, None, *WORKERS]))
        case "poll":
            return ("poll", pick(WORKERS), pick([0, 1, 1, 2, 3]), pick([200, 1_000]), pick([None, None, "p"]))
        case "wall":
            return ("wall", pick([0, 0, 700, 3_600_000, -86_400_000]))
        case _:
            return ("time", pick([1, 100, 199, 200, 500, 1_000, 5_000, -300]))


def story(random: Random, length: int, scene: Scene = ANYTHING) -> list[list[Act]]:
    """So many batches of one to five things each."""
    return [[act(random, scene) for _ in range(random.randint(1, 5))] for _ in range(length)]


class Story:
    """Runs what was drawn, several commands to a batch, and remembers every grant."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.granted: list[Job] = []
        self.expires: dict[LeaseId, int] = {}
        self.over: set[LeaseId] = set()
        self.answers: dict[c.Command, object] = {}

    def run(self, batch: list[Act]) -> None:
        """One batch: the jumps of time first, then the commands, then the polls."""
        for act in batch:
            if act[0] == "time":
                self.world.later(act[1])
            elif act[0] == "wall":
                self.world.skew_ms = act[1]
        commands = [command for act in batch if (command := self._command(act)) is not None]
        wants = [self._want(act) for act in batch if act[0] == "poll"]
        replies = self.world.batch(commands, wants)
        for command, reply in zip(commands, replies, strict=True):
            self._judge(command, reply)
        for granted, wanted in zip(self.world.last.granted, wants, strict=True):
            assert len(granted.jobs) <= wanted.limit
            self.granted += granted.jobs
            self.expires |= {job.lease_id: job.lease_expires_ms for job in granted.jobs if job.lease_id is not None}

    def _judge(self, command: c.Command, reply: object) -> None:
        """I3, I13, I16, seen from outside: only a lease that this story knows to be live may have written anything."""
        if command in self.answers:
            assert reply == self.answers[command]
            return
        if isinstance(reply, Refusal):
            return
        match command:
            case c.Ack() | c.Release():
                self._has_to_be_live(command.lease_id)
                self.over.add(command.lease_id)
                self.answers[command] = reply
            case c.ReportStep():
                self._has_to_be_live(command.lease_id)
            case c.Heartbeat() if isinstance(reply, Beaten) and reply.state == "held":
                self._has_to_be_live(command.lease_id)
                assert reply.expires_ms >= self.expires[command.lease_id]
                self.expires[command.lease_id] = reply.expires_ms
            case c.Cancel():
                self.over |= {job.lease_id for job in self.granted if job.job_key == command.job_key and job.lease_id}
            case _:
                pass

    def _has_to_be_live(self, lease_id: LeaseId) -> None:
        assert lease_id not in self.over
        assert self.world.now_ms < self.expires[lease_id]

    def _command(self, act: Act) -> c.Command | None:
        match act:
            case ("submit", thread, tenant, said):
                return submit(thread, tenant=tenant, **said)
            case ("cancel", thread, tenant):
                return c.Cancel(key(thread, tenant), None)
            case ("sweep", thread, tenant):
                return c.Sweep(key(thread, tenant))
            case ("poll", *_) | ("time", *_) | ("wall", *_):
                return None
            case _:
                pass
        if not self.granted:
            return None
        job = self.granted[-1 - act[1] % len(self.granted)]
        match act:
            case ("ack", _, status, retryable, retry):
                return ack(job, status, retryable=retryable, retry=retry, body=b'"b"')
            case ("report", _, action, status, checkpoint):
                return report(job, action, status, token=status, checkpoint=checkpoint)
            case ("release", _, delay_ms):
                assert job.lease_id is not None
                return c.Release(job.worker_key, job.lease_id, delay_ms)
            case ("beat", _, ttl_ms, single, worker):
                return heartbeat(job, ttl_ms, single=single, worker=worker)
            case _:
                raise AssertionError(act)

    def _want(self, act: Act) -> Want:
        _, worker, limit, ttl_ms, poll_id = act
        return want(worker, limit, ttl_ms=ttl_ms, poll_id=poll_id, worker_limit=2, tenant_limit=3)


RANDOMS = st.randoms(use_true_random=True)
LENGTHS = st.sampled_from([1, 3, 10, 30, 100])
BOUNDED = settings(derandomize=True, max_examples=60, deadline=None)


@BOUNDED
@given(RANDOMS, LENGTHS, st.sampled_from(["round_robin", "fifo"]), st.integers(1, 4))
def test_any_story_keeps_every_law(random: Random, length: int, fairness: Any, heads_read: int) -> None:
    world = World(Limits(max_lease_losses=2, queue_max=5, tenant_queue_max=4, fairness=fairness))
    world.heads_read = heads_read
    telling = Story(world)
    for batch in story(random, length):
        telling.run(batch)


@BOUNDED
@given(RANDOMS, LENGTHS)
def test_any_story_can_be_brought_to_its_end(random: Random, length: int) -> None:
    """L1, without faults: sweeping at every wake-up time and working off what is granted ends every run."""
    world = World(Limits(max_lease_losses=2))
    telling = Story(world)
    for batch in story(random, length):
        telling.run(batch)
    for _ in range(200):
        open_runs = [job for job in world.tables.jobs.values() if job.status not in TERMINAL]
        if not open_runs:
            break
        wakes = [job.wake_ms for job in open_runs if job.wake_ms is not None]
        wakes += [job.due_ms - world.skew_ms for job in open_runs if has_date(job) and job.due_ms is not None]
        world.now_ms = max([world.now_ms, *([min(wakes)] if wakes else [])])
        world.batch([c.Sweep(job.job_key) for job in open_runs])
        for job in world.poll("finisher", 10).jobs:
            world.acked(job)
    assert all(job.status in TERMINAL for job in world.tables.jobs.values())
    laws.counters_equal_counts(world.tables)


@BOUNDED
@given(RANDOMS, LENGTHS, st.sampled_from([1, 2, 1000]))
def test_grants_come_in_order_within_a_tenant(random: Random, length: int, heads_read: int) -> None:
    """I22: whenever a tenant's job is granted, none of its jobs that wait is before it in the order."""
    world = World(Limits(max_lease_losses=2))
    world.heads_read = heads_read
    telling = Story(world)
    for batch in story(random, length):
        seen = len(telling.granted)
        telling.run(batch)
        waiting = [job for jobs in world.lanes().values() for job in jobs]
        for job in telling.granted[seen:]:
            assert all(job.order < other.order for other in waiting if other.tenant_id == job.tenant_id)


@settings(BOUNDED, max_examples=150)
@given(RANDOMS, st.sampled_from([30, 100]), st.integers(1, 3))
def test_of_a_held_workflow_the_job_that_has_lost_least_is_probed(random: Random, length: int, heads_read: int) -> None:
    """Whatever else the batch does, and however few of the lane's jobs were read."""
    rules = HoldRules(losses=2, runs=1, again=0, first_pause_ms=100, longest_pause_ms=400)
    world = World(Limits(max_lease_losses=100, hold=rules))
    world.heads_read = heads_read
    telling = Story(world)
    for batch in story(random, length, ONE_LANE_DIES):
        seen = len(telling.granted)
        telling.run(batch)
        probes = {hold.probe for hold in world.tables.holds.values()}
        for job in telling.granted[seen:]:
            if job.lease_id in probes:
                waiting = world.lanes().get(job.lane, [])
                assert all(lost_least(job) < lost_least(other) for other in waiting)
        for lane, hold in list(world.tables.holds.items()):
            if is_held(hold) and may_probe(hold, world.now_ms) and lane in world.lanes():
                telling.granted += world.poll("new").jobs
                probed = world.tables.holds[lane].probe
                assert probed is not None, "it is not put off for ever"
