"""Sends inputs to a server over several connections at once, and judges what comes back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import trio

from . import bodies
from .replies import Reply, Wrong, judge, take_reply
from .requests import TOKEN, Case, case

CONNECTIONS = 12
PIPELINED = 8
"""Framed inputs that are sent at once."""
ATTEMPTS = 3
"""A connection may be closed without a word when this machine was too busy to send within the keep-alive limit; an
input that is the reason gets no answer however often it is sent."""
DEADLINE_S = 15.0
"""In which each input is answered, or its connection closed. It is far more than a busy machine needs, and far less
than the time that a parked poll or a body may take."""


class Failed(AssertionError):
    """An input that got what it must not; says how to repeat it."""

    def __init__(self, seed: int, one: Case, what: str) -> None:
        super().__init__(
            f"{what}\n  repeat: python -m tests.fuzz --seed {seed} --only {one.number}\n"
            f"  kind: {one.kind}, {len(one.data)} bytes: {one.data[:2000]!r}"
        )


@dataclass
class Fuzzer:
    """One run over a server's address."""

    address: tuple[str, int]
    seed: int
    ids: dict[bytes, bytes] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    """Loose and silent inputs whose connection was closed without a word."""
    _known: int = 0

    async def prepare(self) -> None:
        """Make what the inputs name: threads, and leases of one worker."""
        for number in range(bodies.THREADS):
            await self._post("/v1/jobs", {"thread_id": bodies.thread(number)})
        poll = {"worker_id": bodies.worker(), "limit": bodies.LEASES, "lease_ttl_seconds": 3600}
        attempts = (await self._post("/v1/workers/poll", poll))["attempts"]
        assert len(attempts) == bodies.LEASES
        for attempt in attempts:
            self._know(attempt)

    def _know(self, attempt: dict[str, Any]) -> None:
        """Let inputs name this attempt and its lease from now on, in place of the ones known for longest."""
        number = self._known % bodies.LEASES
        self._known += 1
        names = {
            bodies.lease(number): attempt["lease_id"],
            bodies.attempt(number): attempt["attempt_id"],
            bodies.run(number): attempt["run_id"],
        }
        for name, real in names.items():
            assert len(name) == len(real)
            self.ids[name.encode()] = real.encode()

    async def run(self, numbers: Iterator[int]) -> None:
        """Send the inputs of these numbers. Raises Failed, in a group."""
        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS):
                nursery.start_soon(self._work, numbers, nursery)

    async def _work(self, numbers: Iterator[int], nursery: trio.Nursery) -> None:
        while True:
            cases = [case(self.seed, number) for number in islice(numbers, PIPELINED)]
            if not cases:
                return
            self.kinds.update(one.kind for one in cases)
            for one in cases:
                if one.shape == "silent":
                    nursery.start_soon(self._alone, one)  # it takes its time
                elif one.shape == "loose":
                    await self._alone(one)
            await self._framed([one for one in cases if one.shape == "framed"])

    async def _framed(self, cases: list[Case]) -> None:
        """All on one connection; where an answer closed it, the rest on the next one."""
        in_vain = 0
        while cases:
            done = 0
            try:
                with trio.fail_after(DEADLINE_S):
                    done = await self._one_connection(cases)
            except trio.TooSlowError:
                raise Failed(self.seed, cases[0], "this, or one of the seven after it, is not answered") from None
            in_vain = 0 if done else in_vain + 1
            if in_vain == ATTEMPTS:
                raise Failed(self.seed, cases[0], "the connection was closed without an answer")
            cases = cases[done:]

    async def _one_connection(self, cases: list[Case]) -> int:
        """How many were answered before the server closed."""
        stream = await trio.open_tcp_stream(*self.address)
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(_send, stream, b"".join(map(self._real, cases)))
            buffer = bytearray()
            done = 0
            for one in cases:
                reply = await self._next(stream, buffer, one)
                if reply is None:
                    break
                done += 1
                if reply.closes:
                    break
            nursery.cancel_scope.cancel(reason="answered, or closed")
        return done

    async def _next(self, stream: trio.SocketStream, buffer: bytearray, one: Case) -> Reply | None:
        while True:
            reply = self._taken(buffer, one)
            if reply is not None:
                return reply
            if not await _receive(stream, buffer):
                return None

    async def _alone(self, one: Case) -> None:
        """On a connection of its own: sent, its end said unless it is silent, then read until the server closes."""
        try:
            with trio.fail_after(DEADLINE_S):
                stream = await trio.open_tcp_stream(*self.address)
                async with stream, trio.open_nursery() as nursery:
                    nursery.start_soon(_send, stream, self._real(one), one.shape == "loose")
                    buffer = bytearray()
                    while await _receive(stream, buffer):
                        pass
                    nursery.cancel_scope.cancel(reason="closed")
        except trio.TooSlowError:
            raise Failed(self.seed, one, "the connection is neither closed nor answered to its end") from None
        before = self.statuses.total()
        while self._taken(buffer, one) is not None:
            pass
        self.closed += self.statuses.total() == before
        # An answer may be cut where the client's own end was noticed, but what there is, is one.
        if buffer and not buffer.startswith(b"HTTP/1.1 "[: len(buffer)]):
            raise Failed(self.seed, one, f"after the answers came {bytes(buffer[:200])!r}")

    def _taken(self, buffer: bytearray, one: Case) -> Reply | None:
        try:
            reply = take_reply(buffer, is_head=one.is_head)
            if reply is not None:
                judge(reply, is_head=one.is_head)
                self.statuses[reply.status] += 1
                if b'"decision":"dispatched"' in reply.body:
                    for attempt in json.loads(reply.body)["data"].get("attempts", ()):
                        self._know(attempt)
        except Wrong as wrong:
            raise Failed(self.seed, one, str(wrong)) from wrong
        return reply

    def _real(self, one: Case) -> bytes:
        """The bytes with real ids in place of their names."""
        data = one.data
        if b"LEASE" in data:
            for name, real in self.ids.items():
                data = data.replace(name, real)
        return data

    async def _post(self, path: str, body: Any) -> Any:
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        one = Case(-1, "prepare", "framed", head.encode() + content)
        async with await trio.open_tcp_stream(*self.address) as stream:
            await stream.send_all(one.data)
            reply = await self._next(stream, bytearray(), one)
        assert reply is not None
        assert reply.status == 200, reply
        return json.loads(reply.body)["data"]


async def _send(stream: trio.SocketStream, data: bytes, ends: bool = False) -> None:
    try:
        await stream.send_all(data)
        if ends:
            await stream.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
        pass  # the server has closed before the end, as it may


async def _receive(stream: trio.SocketStream, buffer: bytearray) -> bool:
    """Whether there was more."""
    try:
        part = await stream.receive_some(65_536)
    except trio.BrokenResourceError:
        return False
    buffer += part
    return bool(part)
