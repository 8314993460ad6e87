"""Records of the standard library's `logging` (hypercorn's, quart's) and warnings, through the same pipe."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from oris.config.levels import DEBUG, ERROR, INFO, WARNING, LogLevels
from oris.observability.logs import Logs

_WORDS = ((ERROR, "error"), (WARNING, "warning"), (INFO, "info"), (DEBUG, "debug"))


class _Forward(logging.Handler):
    """Hands records on; the library's own formatting, files and locks are left out."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        word = next((word for level, word in _WORDS if record.levelno >= level), "debug")
        error = record.exc_info[1] if record.exc_info else None
        self._logs.get(record.name).log(record.levelno, word, _message(record), {"exc_info": error})


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # a library's slip must not reach who called it
        return f"{record.msg!r} cannot be formatted: {type(error).__name__}"


class StdlibBridge:
    """Keeps the levels of the library's loggers at those of the filter, so that unwanted records cost nothing."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._set: list[tuple[logging.Logger, int]] = []

    def apply(self, levels: LogLevels) -> None:
        """Use these levels, for Oris's loggers too."""
        self._logs.set_levels(levels)
        self.restore()
        for name, level in (("", levels.default), *levels.modules):
            logger = logging.getLogger(name)
            self._set.append((logger, logger.level))
            logger.setLevel(level)

    def restore(self) -> None:
        """Give every logger the level it had."""
        while self._set:
            logger, level = self._set.pop()
            logger.setLevel(level)


@contextmanager
def stdlib_logging(logs: Logs) -> Iterator[StdlibBridge]:
    """While it lasts, the library's records and Python's warnings go to these logs and nowhere else.

    Levels that change while it lasts are to be changed with the bridge it gives. Loggers that libraries gave
    handlers of their own, or told not to propagate, are not touched.
    """
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, [_Forward(logs)]
    bridge = StdlibBridge(logs)
    bridge.apply(logs.levels)
    logging.captureWarnings(True)
    try:
        yield bridge
    finally:
        logging.captureWarnings(False)
        bridge.restore()
        root.handlers = handlers
