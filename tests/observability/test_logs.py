"""Log lines: what is in them, which are written, and what they cannot be made to say."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from oris.config.levels import DEBUG, LogLevels, parse_levels
from oris.observability.log_format import Render, render_console, render_json
from oris.observability.log_sink import MemorySink
from oris.observability.log_stdlib import stdlib_logging
from oris.observability.logs import Logs, request_ids

WALL_MS = 1_767_225_599_123  # 2025-12-31T23:59:59.123Z


def logs_in_memory(levels: str = "debug", render: Render = render_json) -> tuple[Logs, MemorySink]:
    sink = MemorySink()
    return Logs(parse_levels(levels), render, sink, lambda: WALL_MS), sink


def parsed(sink: MemorySink) -> list[dict[str, Any]]:
    return [json.loads(line) for line in sink.lines]


def events(sink: MemorySink) -> list[str]:
    return [line["event"] for line in parsed(sink)]


def raised(message: str) -> ValueError:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_a_line_has_time_level_logger_event_and_ids_in_this_order() -> None:
    logs, sink = logs_in_memory()
    logs.get("oris.engine", worker_id="w1").bind(attempt_id="att_1").info("lease_granted", fence=7)
    assert sink.lines[0] == (
        '{"ts":"2025-12-31T23:59:59.123Z","level":"info","logger":"oris.engine","event":"lease_granted",'
        '"worker_id":"w1","attempt_id":"att_1","fence":7}'
    )


def test_on_a_terminal_it_is_text() -> None:
    logs, sink = logs_in_memory(render=render_console)
    logs.get("oris.engine").warning("store_slow", ms=12.5, path="/a b", none=None)
    assert sink.lines[0] == '2025-12-31T23:59:59.123Z warning oris.engine: store_slow ms=12.5 path="/a b" none=null'


def test_a_field_cannot_pose_as_the_time_or_level() -> None:
    logs, sink = logs_in_memory()
    logs.get("oris").info("started", level="error", ts="never", logger="x")
    assert (parsed(sink)[0]["level"], parsed(sink)[0]["logger"]) == ("info", "oris")


def test_the_longest_module_prefix_decides_what_is_written() -> None:
    logs, sink = logs_in_memory("warn,oris.engine=debug,oris.engine.sweeper=error")
    for name in ("oris", "oris.engineering", "oris.engine", "oris.engine.inbox", "oris.engine.sweeper"):
        logs.get(name).info(name)
    assert events(sink) == ["oris.engine", "oris.engine.inbox"]


def test_levels_change_at_run_time_for_loggers_made_before() -> None:
    logs, sink = logs_in_memory("info")
    log = logs.get("oris.api").bind(request_id="r")
    log.debug("before")
    logs.set_levels(parse_levels("off,oris.api=debug"))
    log.debug("after")
    logs.get("oris.engine").error("silenced")
    assert events(sink) == ["after"]
    assert log.enabled(DEBUG)


async def test_the_ids_of_a_request_are_on_every_line_of_its_tasks_and_of_no_others() -> None:
    logs, sink = logs_in_memory()
    log = logs.get("oris.api")

    async def request(number: int) -> None:
        with request_ids(f"r{number}", f"t{number}"):
            await trio.lowlevel.checkpoint()
            inside = f"in_{number}"
            log.info(inside)
        log.info("after")

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(request, number)

    for line in parsed(sink):
        number = line["event"].removeprefix("in_")
        assert line.get("request_id") == (None if line["event"] == "after" else f"r{number}")
        assert line.get("trace_id") == (None if line["event"] == "after" else f"t{number}")
    assert len(sink.lines) == 6


def test_secrets_and_payloads_are_left_out_however_they_come() -> None:
    logs, sink = logs_in_memory()
    log = logs.get("oris", bearer_token="hunter2")
    log.info("a", input={"card": "hunter2"}, request={"headers": {"Authorization": "hunter2"}})
    log.error("b", **{"X-Api-Key": "hunter2"})
    assert len(sink.lines) == 2
    assert not any("hunter2" in line for line in sink.lines)


@pytest.mark.parametrize("render", [render_json, render_console])
def test_control_characters_cannot_make_a_second_line_or_steer_a_terminal(render: Render) -> None:
    logs, sink = logs_in_memory(render=render)
    evil = "x\n2025 error oris: hacked\r\x1b[2J\x9b31m\u2028\u202e\x00"
    logs.get("oris" + evil).info(evil, **{"key" + evil: evil, "nested": {evil: [evil]}})
    line = sink.lines[0]
    assert not set(line) & set("\n\r\x1b\x9b\u2028\u202e\x00")
    assert "\\u001b" in line


@given(st.text(), st.text(min_size=1), st.text())
def test_a_json_line_says_exactly_what_was_logged(event: str, key: str, value: str) -> None:
    logs, sink = logs_in_memory()
    key = "k" + key + "_id"
    logs.get("oris").info(event, **{key: value})
    line = parsed(sink)[0]
    assert line["event"] == event
    assert line[key] in (value, "[redacted]")
    assert "\n" not in sink.lines[0]


def test_an_exception_is_text_in_json_and_indented_lines_on_a_terminal() -> None:
    logs, sink = logs_in_memory()
    logs.get("oris").error("task_failed", exc_info=raised("boom"))
    assert parsed(sink)[0]["exception"].endswith("ValueError: boom\n")

    logs, sink = logs_in_memory(render=render_console)
    logs.get("oris").error("task_failed", exc_info=raised("boom\n2025-12-31 error oris: \x1bhacked"))
    first, *rest = sink.lines[0].split("\n")
    assert first.endswith("oris: task_failed")
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in sink.lines[0]


def test_exc_info_true_takes_the_exception_being_handled() -> None:
    logs, sink = logs_in_memory()
    try:
        raise KeyError("lost")
    except KeyError:
        logs.get("oris").warning("failed", exc_info=True)
    assert "KeyError: 'lost'" in parsed(sink)[0]["exception"]


def test_records_of_the_standard_library_take_the_same_way_under_the_same_filter() -> None:
    logs, sink = logs_in_memory("info,hypercorn=error")
    root_level, root_handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    with stdlib_logging(logs) as bridge:
        logging.getLogger("hypercorn.error").warning("too quiet")
        logging.getLogger("hypercorn.error").error("broken\n%s", "pipe", exc_info=raised("boom"))
        logging.getLogger("quart").debug("too fine")
        assert not logging.getLogger("quart").isEnabledFor(logging.DEBUG)
        bridge.apply(parse_levels("debug"))
        logging.getLogger("quart").debug("fine now")
        logging.getLogger("hypercorn.error").debug("no longer mentioned")
    assert events(sink) == ["broken\npipe", "fine now", "no longer mentioned"]
    assert "ValueError: boom" in parsed(sink)[0]["exception"]
    assert (logging.getLogger().level, logging.getLogger().handlers) == (root_level, root_handlers)
    assert logging.getLogger("hypercorn").level == logging.NOTSET


def test_a_record_that_cannot_be_formatted_is_a_line_and_no_error() -> None:
    logs, sink = logs_in_memory()
    with stdlib_logging(logs):
        logging.getLogger("lib").info("%d", "no number")
    assert "cannot be formatted: TypeError" in events(sink)[0]


def test_python_warnings_are_lines_too() -> None:
    logs, sink = logs_in_memory()
    with stdlib_logging(logs), warnings.catch_warnings():
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    assert "old way" in events(sink)[0]


def test_the_memory_sink_keeps_the_last_lines_and_counts_the_others() -> None:
    sink = MemorySink(max_lines=2)
    logs = Logs(LogLevels(), render_json, sink, lambda: WALL_MS)
    for event in "abc":
        logs.get("oris").info(event)
    assert events(sink) == ["b", "c"]
    assert logs.dropped == 1
