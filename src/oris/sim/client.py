"""A simulated client: submits, alone and in batches, with keys and without, cancels, and waits for results."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from oris.sim.clock import pause
from oris.sim.ledger import Ledger, Told
from oris.sim.network import Network, Reply
from oris.sim.trace import Trace

TRIES = 6
WORKFLOWS = ("default", "mail", "pay")
TENANTS = ("", "acme", "beta")


class Client:
    """Makes so many calls, then it is done."""

    def __init__(
        self, name: str, network: Network, ledger: Ledger, trace: Trace, random: Random, jobs: int, threads: int
    ) -> None:
        self.name = name
        self._network = network
        self._ledger = ledger
        self._trace = trace
        self._random = random
        self._jobs = jobs
        self._threads = threads
        self._keys = 0

    async def run(self, pace_s: float) -> None:
        """All of it, with `pace_s` between calls on the average."""
        for _ in range(self._jobs):
            await pause(self._random.expovariate(1.0 / pace_s))
            match self._random.random():
                case x if x < 0.15:
                    await self._batch()
                case x if x < 0.3:
                    await self._cancel()
                case x if x < 0.4:
                    await self._result()
                case _:
                    await self._submit()

    async def _submit(self) -> None:
        job = self._job()
        body = dict(job)
        wait_ms = self._random.choice((0, 0, 0, 300, 2000))
        if wait_ms:
            body["wait_ms"] = wait_ms
        reply = await self._until_answered("/v1/jobs", body, keyed="idempotency_key" in job, wait_ms=wait_ms)
        if reply is not None and reply.ok:
            self._accepted(job, reply.data)

    async def _batch(self) -> None:
        jobs = [self._job() for _ in range(self._random.randint(2, 6))]
        keyed = all("idempotency_key" in job for job in jobs)
        reply = await self._until_answered("/v1/jobs/batch", {"jobs": jobs}, keyed=keyed)
        if reply is None or not reply.ok:
            return
        for job, result in zip(jobs, reply.data["results"], strict=True):
            if "ok" in result:
                self._accepted(job, result["ok"])
            else:
                self._trace.saw(f"item refused {(result['error'].get('details') or {}).get('reason')}")

    def _accepted(self, job: dict[str, Any], data: dict[str, Any]) -> None:
        told = Told(
            data["run_id"],
            job.get("tenant_id", ""),
            job["thread_id"],
            job.get("idempotency_key"),
            msgspec.json.encode(job).decode(),
        )
        self._ledger.submitted(told)

    async def _cancel(self) -> None:
        told = self._some_run()
        if told is None:
            return
        body: dict[str, Any] = {"run_id": told.run_id, **({"tenant_id": told.tenant} if told.tenant else {})}
        if not told.tenant and self._random.random() < 0.1:
            body = {"run_id": told.run_id, "tenant_id": "nobody"}
        if self._random.random() < 0.4:
            body |= {"mode": "graceful", "grace_ms": self._random.choice((100, 1000, 3000))}
        reply = await self._until_answered(f"/v1/jobs/{told.thread}/cancel", body, keyed=True)
        if reply is not None and reply.ok:
            self._trace.saw(f"cancel {reply.data['status']}")
            self._ledger.cancelled.add(told.run_id)

    async def _result(self) -> None:
        told = self._some_run()
        if told is None:
            return
        wait_ms = self._random.choice((0, 1000))
        query = f"run_id={told.run_id}&wait_ms={wait_ms}" + (f"&tenant_id={told.tenant}" if told.tenant else "")
        path = f"/v1/jobs/{told.thread}/result"
        reply = await self._network.call("client", "GET", path, query=query, wait_ms=wait_ms)
        if reply is not None and reply.ok:
            self._ledger.ended(told.run_id, reply.data["status"], reply.data.get("result") or reply.data.get("error"))
        elif reply is not None:
            self._trace.saw(f"client got {reply.status} {reply.reason}")

    async def _until_answered(self, path: str, body: dict[str, Any], *, keyed: bool, wait_ms: int = 0) -> Reply | None:
        """With a key the same is sent again until it is answered; without one it might be done twice."""
        for _ in range(TRIES):
            reply = await self._network.call("client", "POST", path, body, wait_ms=wait_ms)
            if reply is not None and reply.status not in (429, 500, 503):
                if not reply.ok:
                    self._trace.saw(f"client got {reply.status} {reply.reason}")
                return reply
            if reply is not None:
                self._trace.saw(f"client got {reply.status} {reply.reason}")
            elif not keyed:
                return None
            await pause(self._random.uniform(0.05, 0.5))
        return None

    def _some_run(self) -> Told | None:
        runs = list(self._ledger.submits.values())[-20:]
        return self._random.choice(runs) if runs else None

    def _job(self) -> dict[str, Any]:
        """What one client may ask for."""
        random = self._random
        tenant = random.choice(TENANTS)
        prefix = tenant if random.random() < 0.8 else "common"
        job: dict[str, Any] = {
            "thread_id": f"{prefix}t{random.randrange(self._threads)}",
            "workflow": random.choice(WORKFLOWS),
            "priority": random.choice((0, 0, 0, 5, 9)),
            "input": self._script(),
        }
        if tenant:
            job["tenant_id"] = tenant
        if random.random() < 0.6:
            self._keys += 1
            job["idempotency_key"] = f"{self.name}-{self._keys}"
            if random.random() < 0.05:
                job["idempotency_key"] = f"{self.name}-{random.randint(1, self._keys)}"
        if random.random() < 0.2:
            job["delay_ms"] = random.randint(50, 3000)
        if random.random() < 0.2:
            on_timeout = random.choice(("failed", "cancelled"))
            job["timeout_policy"] = {"timeout_ms": random.randint(100, 3000), "on_timeout_status": on_timeout}
        if random.random() < 0.6:
            job["retry_policy"] = self._policy()
        return job

    def _script(self) -> dict[str, Any]:
        """What its worker will do, told by the input."""
        random = self._random
        script: dict[str, Any] = {
            "steps": random.choice((0, 1, 1, 2, 3)),
            "fail": random.choice((0, 0, 0, 1, 2, 5)),
            "end": random.choice(("completed",) * 8 + ("failed", "cancelled")),
            "retryable": random.random() < 0.9,
        }
        if random.random() < 0.3:
            script["waits"] = [self._wait(number) for number in range(random.choice((1, 1, 2, 3)))]
            script["mode"] = random.choice(("all", "any"))
        if random.random() < 0.1:
            script["ack_policy"] = self._policy()
        return script

    def _wait(self, number: int) -> dict[str, Any]:
        random = self._random
        if random.random() < 0.4:
            return {"kind": "time", "key": f"t{number}", "after_ms": random.choice((0, 100, 900, 2500))}
        wait: dict[str, Any] = {"kind": "interrupt", "key": f"q{number}", "value": {"ask": number}}
        if random.random() < 0.4:
            wait["expires_in_ms"] = random.choice((100, 900, 2500))
            wait["on_expire"] = random.choice(("cancel", "fail", "resume"))
        if random.random() < 0.5:
            wait["on_reject"] = "resume"
        return wait

    def _policy(self) -> dict[str, Any]:
        random = self._random
        policy: dict[str, Any] = {
            "strategy": random.choice(("fixed", "exponential")),
            "backoff_ms": random.randint(0, 400),
            "max_retries": random.randint(0, 4),
            "multiplier": 2.0,
        }
        if random.random() < 0.5:
            policy["max_backoff_ms"] = 700
        return policy
