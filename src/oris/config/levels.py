"""Which log lines are wanted: `info,oris.engine=debug`, the longest matching module decides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

DEBUG: Final = 10
INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40
OFF: Final = 100

_LEVELS: Final = {
    "trace": DEBUG,  # nothing is finer than debug
    "debug": DEBUG,
    "info": INFO,
    "warn": WARNING,
    "warning": WARNING,
    "error": ERROR,
    "off": OFF,
}
_NAMES: Final = {DEBUG: "debug", INFO: "info", WARNING: "warn", ERROR: "error", OFF: "off"}
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
LEVELS_FORM = (
    "LEVEL and MODULE=LEVEL, separated by commas, such as info,oris.engine=debug; "
    "a level is trace, debug, info, warn, error or off"
)


@dataclass(frozen=True, slots=True)
class LogLevels:
    """The least level that is logged, in general and per module, as the numbers of the standard library."""

    default: int = INFO
    modules: tuple[tuple[str, int], ...] = ()

    def threshold(self, name: str) -> int:
        """The least level logged for the logger of this dotted name; its longest listed prefix decides."""
        best, level = -1, self.default
        for module, module_level in self.modules:
            if len(module) > best and (name == module or name.startswith(module + ".")):
                best, level = len(module), module_level
        return level

    def __str__(self) -> str:
        parts = [_NAMES[self.default], *(f"{module}={_NAMES[level]}" for module, level in self.modules)]
        return ",".join(parts)


def parse_levels(text: str) -> LogLevels:
    """The levels a filter text asks for; what it does not mention is `info`, what it repeats last counts.

    Raises ValueError with the form when a part cannot be understood.
    """
    default = INFO
    modules: dict[str, int] = {}
    for part in text.split(","):
        module, equals, word = (piece.strip() for piece in part.rpartition("="))
        level = _LEVELS.get(word.lower())
        if level is None or (equals and not _MODULE.fullmatch(module)):
            raise ValueError(LEVELS_FORM)
        if equals:
            modules[module] = level
        else:
            default = level
    return LogLevels(default, tuple(modules.items()))
