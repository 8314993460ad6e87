"""The writer thread, over real pipes: nobody may wait for whoever reads the log."""

from __future__ import annotations

import json
import os
import pty
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from oris.config.levels import LogLevels
from oris.observability.log_writer import LogWriter
from oris.observability.logs import Logs, open_logs

WALL_MS = 1_767_225_599_123
PATIENCE_S = 20.0


class Pipe:
    """Both ends of a pipe, each closed once."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self._open = {self.read_end, self.write_end}

    def close(self, end: int) -> None:
        if end in self._open:
            self._open.remove(end)
            os.close(end)

    def close_writer(self) -> None:
        self.close(self.write_end)

    def close_reader(self) -> None:
        self.close(self.read_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close_writer()
    made.close_reader()


def drops_line(count: int) -> str:
    return f"dropped {count}"


def json_logs(fd: int) -> Logs:
    return open_logs(LogLevels(), "auto", fd, lambda: WALL_MS)


def read_all(fd: int) -> bytes:
    """Everything until the last writer has closed."""
    chunks = []
    while chunk := os.read(fd, 65_536):
        chunks.append(chunk)
    return b"".join(chunks)


def read_until(fd: int, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        chunk = os.read(fd, 65_536)
        assert chunk, "the writer has gone"
        data += chunk
    return data


def test_lines_arrive_in_order_and_all_of_them_by_the_time_it_is_closed(pipe: Pipe) -> None:
    writer = LogWriter(pipe.write_end, drops_line)
    for number in range(1000):
        writer.put(str(number))
    assert writer.close(PATIENCE_S) == 0
    pipe.close_writer()
    assert read_all(pipe.read_end).decode().split() == [str(number) for number in range(1000)]


async def test_a_pipe_that_nobody_reads_stops_neither_the_loop_nor_the_memory(pipe: Pipe) -> None:
    logs = json_logs(pipe.write_end)
    log = logs.get("oris")
    ticks = 0
    with trio.fail_after(PATIENCE_S):
        for number in range(60_000):  # about 8 MB: more than the pipe and the queue hold
            log.info("tick", number=number)
            if number % 1000 == 0:
                await trio.lowlevel.checkpoint()
                ticks += 1
    assert ticks == 60
    assert logs.dropped > 0
    dropped = logs.dropped

    # Once somebody reads, one line tells how many are missing, and the log goes on.
    received = bytearray()
    reported = threading.Event()

    def reader() -> None:
        while chunk := os.read(pipe.read_end, 65_536):
            received.extend(chunk)
            if b"log_lines_dropped" in received[-len(chunk) - 400 :]:
                reported.set()

    thread = threading.Thread(target=reader)
    thread.start()
    assert reported.wait(PATIENCE_S)
    log.info("alive")
    assert logs.close(PATIENCE_S) == 0
    pipe.close_writer()
    thread.join(PATIENCE_S)

    lines: list[dict[str, Any]] = [json.loads(line) for line in received.decode().splitlines()]
    reports = [line for line in lines if line["event"] == "log_lines_dropped"]
    assert [report["count"] for report in reports] == [dropped]
    assert lines[-1]["event"] == "alive"
    assert len([line for line in lines if line["event"] == "tick"]) == 60_000 - dropped


def test_closing_a_pipe_that_nobody_reads_gives_up_at_its_deadline_and_tells(pipe: Pipe) -> None:
    writer = LogWriter(pipe.write_end, drops_line)
    for _ in range(100):
        writer.put("x" * 10_000)  # a pipe holds 64 KiB
    assert writer.close(0.01) > 0
    writer.put("too late")
    assert writer.dropped == 1


def test_a_broken_pipe_costs_lines_and_nothing_else(pipe: Pipe) -> None:
    pipe.close_reader()
    writer = LogWriter(pipe.write_end, drops_line)
    writer.put("to nobody")
    assert writer.close(PATIENCE_S) == 0
    assert writer.dropped == 1


def test_a_pipe_made_non_blocking_by_somebody_else_still_gets_every_line(pipe: Pipe) -> None:
    os.set_blocking(pipe.write_end, False)
    writer = LogWriter(pipe.write_end, drops_line)
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(read_all(pipe.read_end)))
    for _ in range(50):
        writer.put("y" * 9999)
    thread.start()
    assert writer.close(PATIENCE_S) == 0
    pipe.close_writer()
    thread.join(PATIENCE_S)
    assert received[0] == (b"y" * 9999 + b"\n") * 50


def test_a_line_longer_than_the_queue_is_dropped_and_reported_with_the_next(pipe: Pipe) -> None:
    writer = LogWriter(pipe.write_end, drops_line, max_bytes=100)
    writer.put("z" * 200)
    writer.put("short")
    assert read_until(pipe.read_end, b"dropped 1\n") == b"short\ndropped 1\n"
    assert writer.close(PATIENCE_S) == 0


def test_the_descriptor_may_be_closed_and_reused_without_harm(pipe: Pipe) -> None:
    writer = LogWriter(pipe.write_end, drops_line)
    pipe.close_writer()
    writer.put("still here")
    assert writer.close(PATIENCE_S) == 0
    assert read_all(pipe.read_end) == b"still here\n"


def test_a_lone_surrogate_is_written_escaped(pipe: Pipe) -> None:
    logs = json_logs(pipe.write_end)
    logs.get("oris").info("bad\udce9name")
    logs.close(PATIENCE_S)
    pipe.close_writer()
    assert json.loads(read_all(pipe.read_end))["event"] == "bad\udce9name"


def test_auto_is_text_on_a_terminal_and_json_elsewhere(pipe: Pipe) -> None:
    main_end, terminal = pty.openpty()
    logs = json_logs(terminal)
    logs.get("oris").info("hello")
    shown = read_until(main_end, b"\n")
    logs.close(PATIENCE_S)
    os.close(terminal)
    os.close(main_end)
    assert shown.startswith(b"2025-12-31T23:59:59.123Z info    oris: hello")

    logs = json_logs(pipe.write_end)
    logs.get("oris").info("hello")
    logs.close(PATIENCE_S)
    pipe.close_writer()
    assert json.loads(read_all(pipe.read_end))["event"] == "hello"
