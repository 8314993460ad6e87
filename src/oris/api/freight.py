"""What one request carries, in and out, and what it holds of the accounts for it."""

from __future__ import annotations

import trio

from oris.api.account import Account, Share
from oris.errors import ApiError, ErrorCode

COUNTED_BYTES = 16 * 1024
"""Answers up to this size are not counted: all connections together hold little of them."""
ROOM_WAIT_S = 10.0
"""How long an answer waits for others to be taken by their clients."""
MAKING_BYTES = 1024 * 1024
"""What an answer counts while it is made, and nobody knows its size."""
MAKING_MAX = 16
"""Answers of unknown size that are made at one time, after those before have been counted: so many for clients, and so
many for workers, who wait for none of theirs."""


class Hold:
    """The accounts of one front, which all its requests share."""

    def __init__(self, bodies: Account, answers: Account) -> None:
        self.bodies = bodies
        self.answers = answers
        self.making = trio.CapacityLimiter(MAKING_MAX)
        self.making_of_workers = trio.CapacityLimiter(MAKING_MAX)


class Freight:
    """A request's body until it is used, and its part of the accounts. Without a `hold` nothing is counted.

    The body is handed over once. Frames of a request stand as long as its caller waits, so none of them may keep it.
    """

    __slots__ = ("_body", "_hold", "_making", "answer", "upload")

    def __init__(self, hold: Hold | None = None, *, of_worker: bool = False, tenant_id: str | None = None) -> None:
        self._hold = hold
        self._body = b""
        self._making = False
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

    async def begin_answer(self, reason: str = "inbox_full") -> None:
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

    def answer_again(self, size: int, reason: str) -> None:
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

    async def count_piece(self, size: int) -> bool:
        """Before a piece of the answer is sent: count it, as soon as there is room. False: there was none in time."""
        if self.answer is None or size <= self.answer.size:
            return True
        return await self.answer.wait_for(size - self.answer.size, ROOM_WAIT_S)

    def piece_taken(self) -> None:
        """The client's socket has all of it."""
        if self.answer is not None and self.answer.size:
            self.answer.set(0)

    def release(self) -> None:
        """Nothing is held any more. Idempotent; for a `finally`."""
        self.body_done()
        self.answer_made(0)
        self.piece_taken()


def _no_room(reason: str) -> ApiError:
    message = "too many answers wait to be read by their clients"
    return ApiError(ErrorCode.UNAVAILABLE, message, {"reason": reason}, retry_after_s=1)
