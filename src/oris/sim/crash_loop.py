"""A crash loop: pods with fresh names that take several jobs each and die, until somebody mends them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import trio

from oris.core.invariants import Snapshot
from oris.ids import NO_TENANT, WorkerId, WorkerKey, worker_key
from oris.sim.clock import pause
from oris.sim.judge import Judge
from oris.sim.ledger import Ledger, Told
from oris.sim.lives import RunLife
from oris.sim.network import Network
from oris.sim.trace import Trace

WORKFLOW = "loop"


class CrashLoop:
    """A workflow of its own, its client, and the fleet that nobody else helps."""

    def __init__(
        self,
        network: Network,
        ledger: Ledger,
        judge: Judge,
        trace: Trace,
        random: Random,
        filters: dict[WorkerKey, frozenset[str]],
        mended: Callable[[], Any],
    ) -> None:
        """`mended`: a worker that does its jobs, to run once the loop is over."""
        self._network = network
        self._ledger = ledger
        self._judge = judge
        self._trace = trace
        self._random = random
        self._filters = filters
        self._mended = mended
        self._slots = random.randint(4, 6)
        self._healthy = random.randint(8, 12)
        self._poison = random.randint(0, 2)
        self._pods = 0
        self._crashing = True
        """From here on no healthy job may be lost for good."""
        self.submitted = False
        """Its jobs are accepted."""

    async def run(self) -> None:
        """All of it, until cancelled."""
        await self._submit()
        seconds = self._random.uniform(4.0, 12.0)
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as fleet:
                for _ in range(self._random.randint(1, 3)):
                    fleet.start_soon(self._replica)
                if self._random.random() < 0.25:
                    fleet.start_soon(self._clear, seconds)
        self._trace.note("crash loop", "mended")
        self._crashing = False
        await self._mended()

    def protects(self, run: RunLife) -> bool:
        """Whether a run must not end for the leases that were lost under it."""
        thread = run.job_key.partition("/")[2]
        return self._crashing and run.lane.workflow == WORKFLOW and thread.startswith("healthy")

    def settle(self, rows: Snapshot) -> None:
        """At the end every poison job is a dead letter, unless a client has cancelled it."""
        for job in rows.jobs.values():
            if job.workflow == WORKFLOW and job.thread_id.startswith("poison") and not job.is_pruned:
                dead = (job.status, job.reason) == ("failed", "lease_losses") or job.status == "cancelled"
                self._judge.require(dead, "hold", job.run_id, f"poison that is {job.status} ({job.reason})")

    async def _submit(self) -> None:
        """All jobs in one commit, so that no pod meets a few of them alone."""
        script = {"steps": 0, "fail": 0, "end": "completed", "retryable": True}
        names = [f"healthy{number}" for number in range(self._healthy)]
        names += [f"poison{number}" for number in range(self._poison)]
        self._random.shuffle(names)
        jobs = [
            {
                "thread_id": name,
                "workflow": WORKFLOW,
                "input": {**script, "poison": name.startswith("poison")},
                "idempotency_key": f"loop-{name}",
            }
            for name in names
        ]
        while True:
            reply = await self._network.call("client", "POST", "/v1/jobs/batch", {"jobs": jobs})
            if reply is not None and reply.ok and all("ok" in result for result in reply.data["results"]):
                break
            await pause(self._random.uniform(0.05, 0.5))
        for job, result in zip(jobs, reply.data["results"], strict=True):
            body = msgspec.json.encode(job).decode()
            told = Told(result["ok"]["run_id"], "", str(job["thread_id"]), str(job["idempotency_key"]), body)
            self._ledger.submitted(told)
        self.submitted = True

    async def _replica(self) -> None:
        """One pod after the other: each polls once and is never heard of again."""
        while True:
            self._pods += 1
            name = f"pod{self._pods}"
            self._filters[worker_key(NO_TENANT, WorkerId(name))] = frozenset({WORKFLOW})
            body = {
                "worker_id": name,
                "limit": self._slots,
                "wait_ms": self._random.choice((500, 2000)),
                "lease_ttl_seconds": 1,
                "workflows": [WORKFLOW],
            }
            # Some die while they ask: what they were granted then goes back, be it a probe.
            patience_s = self._random.uniform(0.001, 0.012) if self._random.random() < 0.3 else 60.0
            with trio.move_on_after(patience_s):
                await self._network.call("worker", "POST", "/v1/workers/poll", body, wait_ms=int(str(body["wait_ms"])))
            await pause(self._random.uniform(0.05, 0.6))

    async def _clear(self, seconds: float) -> None:
        """An operator believes that it is mended; he is wrong, and what is lost from then on counts."""
        await pause(self._random.uniform(0.3, 0.9) * seconds)
        self._crashing = False
        reply = await self._network.call("operator", "POST", f"/v1/workflows/{WORKFLOW}/clear-hold", {})
        if reply is not None and reply.ok:
            self._trace.saw(f"hold cleared: was held {reply.data['was_held']}")
