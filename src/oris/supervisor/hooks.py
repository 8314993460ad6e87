"""The observers of a tree, kept from harming it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oris.supervisor.report import EventKind, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    OnEvent = Callable[[str, EventKind, str], object]
    OnError = Callable[[str, BaseException], object]


def ignore(*_: object) -> None:
    """The hook of whoever does not look."""


class Hooks:
    """Calls the hooks; an error of theirs is kept in `error`, one line, and changes nothing else."""

    def __init__(self, on_event: OnEvent, on_error: OnError) -> None:
        self._on_event = on_event
        self._on_error = on_error
        self.error: str | None = None

    def event(self, name: str, kind: EventKind, detail: str = "") -> None:
        """Something happened to the child, step or tree `name`."""
        try:
            self._on_event(name, kind, detail)
        except Exception as broken:
            self.error = one_line(broken)

    def failure(self, name: str, kind: EventKind, error: BaseException) -> None:
        """The same failure twice: the exception with its traceback, then the event with its line."""
        try:
            self._on_error(name, error)
        except Exception as broken:
            self.error = one_line(broken)
        self.event(name, kind, one_line(error))
