"""The log: events with their ids, filtered per module, redacted, rendered, handed to a sink that never waits.

One `Logs` per server, made by the composition root and handed on; nothing of structlog's or this module's is
global. Event names are fixed words (`lease_expired`), what varies stands in keys:

    log = logs.get("oris.engine.sweeper")
    log.info("lease_expired", thread_id=thread_id, attempt_id=attempt_id, worker_id=worker_id)
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import structlog

from oris.config.levels import DEBUG, ERROR, INFO, WARNING, LogLevels
from oris.observability.log_format import Render, render_console, render_json
from oris.observability.log_sink import Sink
from oris.observability.log_writer import LogWriter
from oris.observability.redact import REDACTED, is_private, redact, redact_secrets
from oris.wire.times import rfc3339

ExcInfo: TypeAlias = "BaseException | None"
_MAX_TRACEBACK_CHARACTERS = 32_768


class Channel:
    """What the loggers of one name share: the least level they write."""

    __slots__ = ("name", "sink", "threshold")

    def __init__(self, name: str, threshold: int, sink: Sink) -> None:
        self.name = name
        self.threshold = threshold
        self.sink = sink


class Logger(structlog.BoundLoggerBase):
    """A structlog logger: `bind(**ids)` gives one that carries ids. A line below the level costs one comparison."""

    _logger: Channel

    def debug(self, event: str, /, **fields: object) -> None:
        self.log(DEBUG, "debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        self.log(INFO, "info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Something an operator may want to look at; `exc_info=error` adds a traceback, here as in all others."""
        self.log(WARNING, "warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self.log(ERROR, "error", event, fields)

    def enabled(self, level: int) -> bool:
        """Whether a line of this level would be written now."""
        return level >= self._logger.threshold

    def log(self, level: int, word: str, event: str, fields: dict[str, object]) -> None:
        """Write a line of this level, by its number and word."""
        channel = self._logger
        if level >= channel.threshold:
            (line,), _ = self._process_event(word, event, fields)
            channel.sink.put(line)


class Logs:
    """All loggers of a server. Loggers may be made and used from any thread."""

    def __init__(self, levels: LogLevels, render: Render, sink: Sink, wall_ms: Callable[[], int]) -> None:
        self.levels = levels
        self._sink = sink
        self._wall_ms = wall_ms
        self._channels: dict[str, Channel] = {}
        self._processors: list[Any] = [
            structlog.contextvars.merge_contextvars,
            self._complete,
            lambda _channel, _word, event: render(event),
        ]

    def get(self, name: str, **ids: object) -> Logger:
        """The logger of a dotted module name, bound to these ids."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels.setdefault(name, Channel(name, self.levels.threshold(name), self._sink))
        return Logger(channel, self._processors, dict(ids))

    def set_levels(self, levels: LogLevels) -> None:
        """Change what is logged, from the next line on, also for loggers that were made before."""
        self.levels = levels
        for channel in list(self._channels.values()):
            channel.threshold = levels.threshold(channel.name)

    @property
    def dropped(self) -> int:
        """Lines dropped so far."""
        return self._sink.dropped

    def close(self, timeout_s: float = 1.0) -> int:
        """Write what is queued, for at most this long; the number of lines that could not be. Blocks."""
        return self._sink.close(timeout_s)

    def _complete(self, channel: Channel, word: str, fields: MutableMapping[str, Any]) -> dict[str, object]:
        """The event in the order it is written, redacted, its exception as text."""
        event: dict[str, object] = {
            "ts": rfc3339(self._wall_ms()),
            "level": word,
            "logger": channel.name,
            "event": redact(str(fields.pop("event"))),
        }
        error = fields.pop("exc_info", None)
        for key, value in fields.items():
            if key not in event:
                event[key] = REDACTED if is_private(key) else redact(value)
        if error:
            event["exception"] = _traceback(error if isinstance(error, BaseException) else sys.exception())
        return event


def open_logs(levels: LogLevels, log_format: str, fd: int, wall_ms: Callable[[], int]) -> Logs:
    """Logs written to a file descriptor by a thread. `log_format` is `auto`, `json` or `console`."""
    console = log_format == "console" or (log_format == "auto" and os.isatty(fd))
    render = render_console if console else render_json

    def drops_line(count: int) -> str:
        return render(
            {
                "ts": rfc3339(wall_ms()),
                "level": "warning",
                "logger": "oris.observability",
                "event": "log_lines_dropped",
                "count": count,
            }
        )

    return Logs(levels, render, LogWriter(fd, drops_line), wall_ms)


def request_ids(request_id: str, trace_id: str) -> AbstractContextManager[None]:
    """While it lasts, every line of this task and of those it starts carries the ids of the request."""
    return structlog.contextvars.bound_contextvars(request_id=request_id, trace_id=trace_id)


def _traceback(error: BaseException | None) -> str:
    if error is None:
        return ""
    text = redact_secrets("".join(traceback.format_exception(error)))
    return text if len(text) <= _MAX_TRACEBACK_CHARACTERS else "…" + text[-_MAX_TRACEBACK_CHARACTERS:]
