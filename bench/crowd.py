"""Thousands of connections from one process, each with its script; between its requests a script may pause.

A script is a generator that yields a request, and is sent the answer's body, or yields a `Pause`.
"""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable, Generator
from itertools import count
from typing import NamedTuple

from bench.client import BadAnswer, Connection

LOOK_S = 0.02


class Pause(NamedTuple):
    """Go on at this moment of `time.perf_counter`."""

    until_s: float
    hangs_up: bool = False
    """Connect anew afterwards: the server does not keep an idle connection for so long."""


Play = Generator[bytes | Pause, bytes, None]


class Crowd:
    """All scripts against one server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poller = select.epoll()
        self._busy: dict[int, tuple[Connection, Play]] = {}
        """Scripts that wait for an answer, by their socket."""
        self._paused: list[tuple[float, int, Play, Connection | None]] = []
        self._numbers = count()

    def add(self, play: Play) -> None:
        """One script more."""
        self._goes_on(play, None, next(play))

    def run(self, until: Callable[[], bool], limit_s: float) -> None:
        """Until that holds. Raises BadAnswer: an answer other than 200, or the limit passed."""
        give_up_s = time.perf_counter() + limit_s
        while not until():
            now_s = time.perf_counter()
            if now_s > give_up_s:
                raise BadAnswer(f"not done within {limit_s:.0f} s")
            while self._paused and self._paused[0][0] <= now_s:
                _, _, play, connection = heapq.heappop(self._paused)
                self._goes_on(play, connection, play.send(b""))
            wait_s = self._paused[0][0] - time.perf_counter() if self._paused else LOOK_S
            for number, _ in self._poller.poll(max(0.0, min(wait_s, LOOK_S))):
                self._answered(number)

    def run_for(self, seconds: float) -> None:
        """For so long."""
        end_s = time.perf_counter() + seconds
        self.run(lambda: time.perf_counter() >= end_s, seconds + 60.0)

    def cut(self) -> None:
        """All connections end at once, and nobody comes back."""
        busy, self._busy = self._busy, {}
        paused, self._paused = self._paused, []
        for connection, _ in busy.values():
            connection.close()
        for _, _, _, kept in paused:
            if kept is not None:
                kept.close()

    def close(self) -> None:
        """The end."""
        self.cut()
        self._poller.close()

    def _answered(self, number: int) -> None:
        connection, play = self._busy[number]
        body = connection.receive()
        if body is None:
            return
        del self._busy[number]
        self._poller.unregister(number)
        try:
            wish = play.send(body)
        except StopIteration:
            connection.close()
            return
        self._goes_on(play, connection, wish)

    def _goes_on(self, play: Play, connection: Connection | None, wish: bytes | Pause) -> None:
        if isinstance(wish, Pause):
            if connection is not None and wish.hangs_up:
                connection.close()
                connection = None
            heapq.heappush(self._paused, (wish.until_s, next(self._numbers), play, connection))
            return
        connection = connection or Connection(self._port)
        number = connection.socket.fileno()
        self._busy[number] = (connection, play)
        self._poller.register(number, select.EPOLLIN)
        connection.send(wish)
