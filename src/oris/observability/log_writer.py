"""Log lines written by a thread, because a pipe that nobody reads stops whoever writes to it.

The queue is bounded in bytes. When it is full lines are dropped and counted; as soon as there is room again one
line tells how many. The thread is a daemon: stuck in a write, it does not keep the process alive.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

_BATCH_BYTES = 65_536
_GATHER_S = 0.05
"""How long a line may wait for others: woken for each, the thread would take turns with the event loop all the time."""


class LogWriter:
    """A `Sink` over a file descriptor, which it duplicates: closing or reusing the original changes nothing."""

    def __init__(self, fd: int, drops_line: Callable[[int], str], max_bytes: int = 4_194_304) -> None:
        """`drops_line` makes the line that reports this many drops; it is called on the writer's thread."""
        self._fd = os.dup(fd)
        self._drops_line = drops_line
        self._max_bytes = max_bytes
        # Reentrant, because a finalizer that logs may run inside `put`.
        self._changed = threading.Condition(threading.RLock())
        self._lines: list[bytes] = []
        self._held_bytes = 0  # waiting or being written
        self._being_written = 0
        self._unreported = 0
        self._closed = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="oris-log-writer", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Queue a line; drop it when the queue is full or closed. The lock is never held during a write."""
        data = (line + "\n").encode("utf-8", "backslashreplace")
        with self._changed:
            if self._closed or self._held_bytes + len(data) > self._max_bytes:
                self._drop(1)
                return
            self._lines.append(data)
            self._held_bytes += len(data)
            if len(self._lines) == 1 or self._held_bytes >= _BATCH_BYTES:
                self._changed.notify()

    def close(self, timeout_s: float) -> int:
        """Take no more lines, and wait at most this long for the thread to write those it has.

        Returns how many were left unwritten. Blocks its thread: to be called after the last task has ended.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            return len(self._lines) + self._being_written

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._unreported += count

    def _run(self) -> None:
        while batch := self._take():
            written = _write_all(self._fd, b"".join(batch))
            with self._changed:
                self._held_bytes -= sum(map(len, batch))
                self._being_written = 0
                if not written:
                    self._drop(len(batch))
            self._report_drops()
        os.close(self._fd)

    def _take(self) -> list[bytes]:
        """The next lines to write, waiting for them; none when all is written and no more will come."""
        with self._changed:
            while not self._lines and not self._closed:
                self._changed.wait()
            self._changed.wait_for(self._has_gathered, _GATHER_S)
            batch = self._next_batch()
            self._being_written = len(batch)
            return batch

    def _has_gathered(self) -> bool:
        return self._closed or self._held_bytes >= _BATCH_BYTES

    def _report_drops(self) -> None:
        """Once the queue is empty again, tell how many lines are missing before what comes next."""
        with self._changed:
            count = 0 if self._lines else self._unreported
        if count and _write_all(self._fd, (self._drops_line(count) + "\n").encode("utf-8", "backslashreplace")):
            with self._changed:
                self._unreported -= count

    def _next_batch(self) -> list[bytes]:
        size = count = 0
        while count < len(self._lines) and size < _BATCH_BYTES:
            size += len(self._lines[count])
            count += 1
        batch, self._lines = self._lines[:count], self._lines[count:]
        return batch


def _write_all(fd: int, data: bytes) -> bool:
    """Write everything, however long it takes; False when nobody can ever read it (the pipe is broken)."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody made the pipe non-blocking
            waiter = select.poll()
            waiter.register(fd, select.POLLOUT)
            waiter.poll()
        except OSError:
            return False
    return True
