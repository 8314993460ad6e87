"""The sweep (I19): a piece of code is cancelled at its first checkpoint, then at its second, until it ends uncut.

    async def trial(cut: Cut) -> None:
        async with world() as w:
            await cut.run(w.something)      # in a task and scope of its own
            assert ...                      # what must hold, cut or not; `cut.finished` tells which
    points = await cancel_sweep(trial)

In three modes: `inside`: while the subject waits; `pending`: its wait has succeeded, and it has not run yet;
`between`: after the k-th step of any task beside it, so that it is cut in every state of those it works with.
A Cancelled that was delivered and did not come out again is an error; so is anything else that comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

import trio

T = TypeVar("T")
Mode = Literal["inside", "pending", "between"]
MODES: tuple[Mode, ...] = ("inside", "pending", "between")
MOST = 5000
"""A subject with more points than this does not end."""


class Swallowed(AssertionError):
    """The subject was told that it is cancelled, and went on to its end."""


class Cut(trio.abc.Instrument, Generic[T]):
    """One trial: cancels the subject at the `at`-th point of a mode."""

    def __init__(self, mode: Mode, at: int) -> None:
        self.mode = mode
        self.at = at
        self.finished = False
        """The subject has come to its end and given its value."""
        self.delivered = False
        """A wait of the subject was ended by the cancellation."""
        self._value: list[T] = []
        self._seen = 0
        self._scope = trio.CancelScope()
        self._task: trio.lowlevel.Task | None = None
        self._cutting = False

    @property
    def reached(self) -> bool:
        """The point was there to be cut."""
        return self._scope.cancel_called

    @property
    def value(self) -> T:
        """What the subject has returned."""
        return self._value[0]

    async def run(self, subject: Callable[[], Awaitable[T]]) -> None:
        """Run the subject and cut it. Raises what it raises, and Swallowed."""

        async def alone() -> None:
            self._task = trio.lowlevel.current_task()
            try:
                with self._scope:
                    self._value.append(await subject())
                    self.finished = True
            finally:
                self._task = None

        trio.lowlevel.add_instrument(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alone)
        finally:
            trio.lowlevel.remove_instrument(self)
        if self.finished and self.delivered:
            raise Swallowed(f"cut {self.mode} at point {self.at}")

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._task is None:
            return
        if (self.mode == "inside" and task is self._task) or (self.mode == "between" and task is not self._task):
            self._point()

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        if self._task is None or task is not self._task:
            return
        if self._cutting:
            self.delivered = True
        elif self.mode == "pending":
            self._point()

    def _point(self) -> None:
        self._seen += 1
        if self._seen == self.at:
            self._cutting = True
            self._scope.cancel(reason="the sweep cuts here")
            self._cutting = False


async def cancel_sweep(trial: Callable[[Cut[T]], Awaitable[None]], name: str, modes: tuple[Mode, ...] = MODES) -> int:
    """Try every point of every mode; the answer, which is also printed, is how many were cut."""
    points = 0
    for mode in modes:
        for at in range(1, MOST):
            cut: Cut[T] = Cut(mode, at)
            try:
                await trial(cut)
            except BaseException as error:
                error.add_note(f"{name}: cut {mode} at point {at}")
                raise
            if not cut.reached:
                break
            points += 1
        else:
            raise AssertionError(f"{name}: {MOST} points, and no end")
    sys.stdout.write(f"{name}: {points} points cut\n")
    return points
