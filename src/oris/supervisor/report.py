"""What a tree tells about itself: frozen values, and errors as one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oris.errors import ConfigError, OrisError

if TYPE_CHECKING:
    from collections.abc import Iterator

ChildState = Literal["starting", "running", "backoff", "stopping", "stopped", "failed"]
TreeState = Literal["starting", "ready", "stopping", "stopped"]
EventKind = Literal[
    "starting",
    "ready",
    "stalled",
    "failed",
    "restarting",
    "stopping",
    "stopped",
    "stuck",
    "step",
    "step_failed",
    "step_timeout",
    "stop_now",
    "abandoned",
]

LINE_MAX_CHARS = 1000
LEAVES_MAX = 3


class ChildFault(OrisError):
    """A failure the supervisor found itself: returned early, not ready in time, no progress, stuck."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the tree ended: 0 after an orderly stop that was asked for, 1 after a failure, 2 if it never started."""

    exit_code: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """One child, now."""

    name: str
    state: ChildState
    """`starting` also before it was opened."""
    restarts: int
    """Since the tree started; those the budget forgot are counted too."""
    last_error: str | None
    """One line. It stays after a restart."""
    since_beat_s: float | None
    """Seconds since its last sign of progress; None while it does not run."""


@dataclass(frozen=True, slots=True)
class TreeStatus:
    """The whole tree, now; children in the order they are opened."""

    state: TreeState
    reason: str | None
    """Why it stops, one line; None before that."""
    children: tuple[ChildStatus, ...]
    hook_error: str | None
    """The last error of an observing hook: it changes nothing, but should be seen."""


def one_line(error: BaseException) -> str:
    """The error on one bounded, printable line; of a group the first few leaves."""
    leaves = list(_leaves(error))
    words = [_word(leaf) for leaf in leaves[:LEAVES_MAX]]
    if len(leaves) > LEAVES_MAX:
        words.append(f"and {len(leaves) - LEAVES_MAX} more")
    flat = " ".join("; ".join(words).split())
    return "".join(char if char.isprintable() else "?" for char in flat)[:LINE_MAX_CHARS]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _word(error: BaseException) -> str:
    """The text; with the type before it, unless the text was written for people."""
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception as broken:
        text = f"(its text raised {type(broken).__name__})"
    if isinstance(error, ConfigError | ChildFault):
        return text or kind
    return f"{kind}: {text}" if text else kind
