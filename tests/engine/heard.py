"""The whole API over an engine world, without sockets, and an ear that keeps the words it answers with (words.py)."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

import trio

from oris.api.auth import Authenticator, Credential
from oris.api.auth_limiter import AuthLimiter
from oris.api.dispatch import Dispatcher, RawRequest
from oris.api.http import Role
from oris.api.routes import route_table
from oris.api.services import ApiBounds, Health, Services

from .harness import World

HEALTH = Health(True, True, "serving", "ok", "applied", {})
TOKENS = tuple(Credential("bearer", f"token-of-{role}", role, f"the-{role}") for role in Role)
Said = dict[str, Any]
Words = dict[str, set[str]]

THREAD = r"/v1/jobs/[^/]+"
WORKER = r"/v1/workers/[^/]+"
RULES: tuple[tuple[str, str, Callable[[Said], Iterable[str]]], ...] = (
    ("run status", f"GET {THREAD}", lambda d: [d["status"]]),
    ("explain", f"GET {THREAD}/explain", lambda d: [d["reason"]]),
    ("event", f"GET {THREAD}/timeline", lambda d: [event["event_type"] for event in d["timeline"]]),
    ("poll", "POST /v1/workers/poll", lambda d: [d["decision"]]),
    ("poll reason", "POST /v1/workers/poll", lambda d: [d["reason"]] if "reason" in d else []),
    ("poll reason", f"POST {WORKER}/ack", lambda d: [d["next"]["reason"]] if "reason" in d.get("next", {}) else []),
    ("control", "POST /v1/workers/poll", lambda d: [message["type"] for message in d["control"]]),
    ("step", "POST /v1/workers/poll", lambda d: [s["status"] for a in d["attempts"] for s in a["steps"]]),
    ("lease state", f"POST {WORKER}/heartbeat", lambda d: [lease["state"] for lease in d["leases"]]),
    ("report", f"POST {WORKER}/report-step", lambda d: [d["status"]]),
    ("suspend", f"POST {WORKER}/suspend", lambda d: [d["status"]]),
    ("wait kind", f"POST {WORKER}/suspend", lambda d: [wait["kind"] for wait in d["waits"]]),
    ("wait status", f"POST {WORKER}/suspend", lambda d: [wait["status"] for wait in d["waits"]]),
    ("wait status", "GET /v1/interrupts", lambda d: [asked["status"] for asked in d["interrupts"]]),
    ("ack", f"POST {WORKER}/ack", lambda d: [d["status"]]),
    ("retry strategy", "GET /v1/attempts/[^/]+/retries", lambda d: [retry["strategy"] for retry in d["history"]]),
    ("dead letter", "GET /v1/dlq", lambda d: [entry["replay_status"] for entry in d["entries"]]),
    ("dead letter reason", "GET /v1/dlq", lambda d: [entry["reason"] for entry in d["entries"]]),
    ("audit", "GET /v1/audit/logs", lambda d: [log["action"] for log in d["logs"]]),
    ("role", "GET /v1/api-keys", lambda d: [key["role"] for key in d["keys"]]),
)
"""Of which answers which fields are words, and of what kind."""


class Ear:
    """The words heard, by kind."""

    def __init__(self) -> None:
        self.words: Words = defaultdict(set)

    def answer(self, method: str, path: str, status: int, body: bytes) -> None:
        """Listen to an answer."""
        said = json.loads(body)
        if status != 200:
            self.error(status, said["error"])
            return
        for kind, pattern, found in RULES:
            if re.fullmatch(pattern, f"{method} {path}"):
                self.words[kind].update(found(said["data"]))

    def error(self, status: int, error: Said) -> None:
        """Listen to a refusal."""
        code, details = error["code"], error.get("details", {})
        self.words["error"].add(f"{status} {code}")
        if code in ("conflict", "backpressure", "unavailable"):
            self.words[code].add(details["reason"])
        if "state" in details:
            self.words[details["reason"]].add(details["state"])


class Api:
    """All routes over a world; every caller is an admin, unless there are keys and it names another's."""

    def __init__(self, world: World, ear: Ear, *, closed: bool = False) -> None:
        self.ear = ear
        self.faults: list[BaseException] = []
        self._dispatcher = Dispatcher(
            route_table(64 * 1024),
            Services(world.engine, random.Random(3), ApiBounds(), lambda: HEALTH, lambda: b"", dict),
            Authenticator(TOKENS if closed else ()),
            clock=trio.current_time,
            rng=random.Random(4),
            fault_log=lambda request_id, method, path, error: self.faults.append(error),
            observe=lambda seen: None,
            limiter=AuthLimiter(trio.current_time, lambda address, count, others: None, lambda: None)
            if closed
            else None,
        )

    async def ask(self, method: str, path: str, body: bytes = b"", *headers: tuple[str, str], **query: Any) -> Said:
        """One request; the whole answer."""
        fields = [(name.encode(), value.encode()) for name, value in headers]
        if method == "POST":
            known = {name for name, _ in headers}
            fields += [(b"content-length", str(len(body)).encode())]
            fields += [] if "content-type" in known else [(b"content-type", b"application/json")]
        request = RawRequest(method, path, urlencode(query).encode(), tuple(fields), body)
        answer = await self._dispatcher.dispatch(request)
        self.ear.answer(method, path, answer.status, answer.body)
        said: Said = json.loads(answer.body)
        return {"status": answer.status} | said

    async def get(self, path: str, **query: Any) -> Said:
        """What a read that succeeds is answered."""
        answer = await self.ask("GET", path, **query)
        assert answer["status"] == 200, answer
        data: Said = answer["data"]
        return data

    async def post(self, path: str, **body: Any) -> Said:
        """What a write that succeeds is answered."""
        answer = await self.ask("POST", path, json.dumps(body).encode())
        assert answer["status"] == 200, answer
        data: Said = answer["data"]
        return data

    async def refused(self, path: str, **body: Any) -> str:
        """Why a write is refused."""
        answer = await self.ask("POST", path, json.dumps(body).encode())
        assert answer["status"] != 200, answer
        return str(answer["error"].get("details", {}).get("reason", answer["error"]["code"]))

    async def submit(self, thread: str, **more: Any) -> Said:
        """A job of its own workflow."""
        return await self.post("/v1/jobs", thread_id=thread, workflow=thread, **more)

    async def take(self, workflow: str, worker: str = "w", **more: Any) -> Said:
        """The only attempt there is of it."""
        polled = await self.post("/v1/workers/poll", worker_id=worker, workflows=[workflow], **more)
        (attempt,) = polled["attempts"]
        taken: Said = attempt
        return taken

    async def start(self, thread: str, **more: Any) -> Said:
        """A job of its own workflow, and its attempt."""
        await self.submit(thread, **more)
        return await self.take(thread)

    async def look(self, thread: str) -> None:
        """Everything that is told of a thread in words."""
        for what in ("", "/explain", "/timeline"):
            await self.get(f"/v1/jobs/{thread}{what}")

    async def report(self, attempt: Said, **more: Any) -> Said:
        """A step that is recorded."""
        return await self.post("/v1/workers/w/report-step", **lease(attempt), **(STEP | more))

    async def too_late(self, attempt: Said) -> str:
        """Why a step is not."""
        return await self.refused("/v1/workers/w/report-step", **lease(attempt), **STEP)

    async def ack(self, attempt: Said, status: str = "completed", worker: str = "w", **more: Any) -> Said:
        """The end of an attempt."""
        return await self.post(f"/v1/workers/{worker}/ack", **lease(attempt), terminal_status=status, **more)

    async def interrupt(self, attempt: Said, *keys: str, **more: Any) -> list[str]:
        """The attempt waits for people; the ids of what it asks."""
        waits = [{"kind": "interrupt", "key": key, "value": 1, **more} for key in keys]
        asked = await self.post("/v1/workers/w/suspend", **lease(attempt), waits=waits)
        return [str(wait["wait_id"]) for wait in asked["waits"]]

    async def states(self, *attempts: Said) -> list[str]:
        """How their leases stand."""
        ids = [attempt["lease_id"] for attempt in attempts]
        beaten = await self.post("/v1/workers/w/heartbeat", lease_ids=ids)
        return [str(one["state"]) for one in beaten["leases"]]

    async def told(self, worker: str = "w", **more: Any) -> list[str]:
        """The control messages for a worker."""
        polled = await self.post("/v1/workers/poll", worker_id=worker, limit=0, **more)
        return [str(message["type"]) for message in polled["control"]]


STEP = {"action_id": "a", "status": "succeeded", "dedupe_token": "t"}


def lease(attempt: Said) -> Said:
    """What every write of a worker names."""
    return {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
