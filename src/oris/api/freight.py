"""What one request carries, in and out, and what it holds of the accounts for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import trio

from oris.api.account import Account, Share
from oris.errors import ApiError, ErrorCode, UnavailableReason

COUNTED_BYTES = 16 * 1024
"""Answers up to this size are not counted: all connections together hold little of them."""
ROOM_WAIT_S = 10.0
"""How long an answer waits for others to be taken by their clients."""
MAKING_BYTES = 1024 * 1024
"""What an answer counts while it is made, and nobody knows its size."""
MAKING_MAX = 16
"""Answers of unknown size that are made at one time, after those before have been counted: so many for clients, and so
many for workers, who wait for none of theirs."""
PROBES_BYTES = 1024 * 1024
"""Answers to probes that their clients have not read yet, at most, beside the accounts of others."""


class ProbeAnswers:
    """Answers to probes on their way out, which anybody may ask for, and must get whoever else does not read.

    A new one always finds room: those that have waited longest for their clients are cut for it. Every method is
    synchronous.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self._held: dict[Hashable, tuple[int, Callable[[], None]]] = {}

    def hold(self, owner: Hashable, size: int, cut: Callable[[], None]) -> None:
        """Count an answer until `give_back`; `cut` closes its connection."""
        while self._held and self.held_bytes + size > self._limit_bytes:
            oldest = next(iter(self._held))
            cut_oldest = self._held[oldest][1]
            self.give_back(oldest)
            cut_oldest()
        self._held[owner] = size, cut
        self.held_bytes += size

    def give_back(self, owner: Hashable) -> None:
        """The client has it, or its connection is closed. Idempotent."""
        self.held_bytes -= self._held.pop(owner, (0, None))[0]


class Hold:
    """The accounts of one front, which all its requests share."""

    def __init__(self, bodies: Account, answers: Account) -> None:
        self.bodies = bodies
        self.answers = answers
        self.probes = ProbeAnswers(PROBES_BYTES)
        self.making = trio.CapacityLimiter(MAKING_MAX)
        self.making_of_workers = trio.CapacityLimiter(MAKING_MAX)


class Freight:
    """A request's body until it is used, and its part of the accounts. Without a `hold` nothing is counted.

    The body is handed over once. Frames of a request stand as long as its caller waits, so none of them may keep it.
    """

    __slots__ = ("_body", "_hold", "_making", "answer", "of_probe", "upload")

    def __init__(
        self,
        hold: Hold | None = None,
        *,
        of_worker: bool = False,
        of_probe: bool = False,
        tenant_id: str | None = None,
    ) -> None:
        self._hold = hold
        self._body = b""
        self._making = False
        self.of_probe = of_probe
        self.upload: Share | None = None
        self.answer: Share | None = None
        if hold is not None:
            self.upload, self.answer = Share(hold.bodies), Share(hold.answers)
            self.upload.of_worker = self.answer.of_worker = of_worker
            self.upload.tenant_id = self.answer.tenant_id = tenant_id

    def put(self, body: bytes) -> None:
        """The body is here, as a whole."""
        self._body = body

    def take(self) -> bytes:
        """Hand the body over; from here on there is none."""
        body, self._body = self._body, b""
        return body

    def body_done(self) -> None:
        """What was sent is committed, or refused: nobody holds it any more. Idempotent."""
        self._body = b""
        if self.upload is not None and self.upload.size:
            self.upload.set(0)

    async def begin_answer(self, reason: UnavailableReason = "inbox_full") -> None:
        """Before an answer is made that may be large: wait for room. Raises ApiError 503 when there is none in time.

        Ends with `answer_made`. `reason`: of the refusal; what was done for the answer may stand already.
        """
        if self.answer is None or self._making:
            return
        with trio.move_on_after(ROOM_WAIT_S) as scope:
            await self._limiter.acquire_on_behalf_of(self)
            self._making = True
            if await self.answer.wait_for(MAKING_BYTES, max(0.0, scope.deadline - trio.current_time())):
                return
        self.answer_made(0)
        raise _no_room(reason)

    def answer_again(self, size: int, reason: UnavailableReason) -> None:
        """Before an answer is made that a worker was owed already, room or not. Raises ApiError 503 when twice as much
        is held as should be: somebody asks for the same again and again, and reads none of it. `reason`: as above."""
        if self.answer is not None and size > COUNTED_BYTES and self.answer.is_twice_full:
            raise _no_room(reason)

    def answer_made(self, size: int) -> None:
        """The answer is there, and this large. One that was never begun counts when it is sent; but a worker's at once,
        because what a commit has granted is there already."""
        if not self._making:
            if self.answer is not None and self.answer.of_worker and size > COUNTED_BYTES:
                self.answer.set(size)
            return
        self._making = False
        assert self.answer is not None
        self._limiter.release_on_behalf_of(self)
        self.answer.set(size)

    @property
    def _limiter(self) -> trio.CapacityLimiter:
        assert self._hold is not None
        assert self.answer is not None
        return self._hold.making_of_workers if self.answer.of_worker else self._hold.making

    async def count_piece(self, size: int, cut: Callable[[], None]) -> bool:
        """Before a piece of the answer is sent: count it, as soon as there is room. False: there was none in time.

        `cut` closes the connection, for a probe that has not read its answer when others want theirs.
        """
        if self.of_probe and self._hold is not None:
            self._hold.probes.hold(self, size, cut)
            return True
        if self.answer is None or size <= self.answer.size:
            return True
        return await self.answer.wait_for(size - self.answer.size, ROOM_WAIT_S)

    def piece_taken(self) -> None:
        """The client's socket has all of it."""
        if self.of_probe and self._hold is not None:
            self._hold.probes.give_back(self)
        if self.answer is not None and self.answer.size:
            self.answer.set(0)

    def release(self) -> None:
        """Nothing is held any more. Idempotent; for a `finally`."""
        self.body_done()
        self.answer_made(0)
        self.piece_taken()


def _no_room(reason: UnavailableReason) -> ApiError:
    message = "too many answers wait until clients read them; try again later"
    return ApiError(ErrorCode.UNAVAILABLE, message, {"reason": reason}, retry_after_s=1)
