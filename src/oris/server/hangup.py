"""What SIGHUP means: reload, or, as its name says, that the terminal is gone.

A server that somebody has started in a terminal ends with it, like every program; nobody would know of it any more. Not
so one that was started with `nohup`, which asks for the contrary, and one without a terminal, which is all services.
"""

from __future__ import annotations

import os
import signal


class Hangup:
    """Made before a handler for SIGHUP is set."""

    def __init__(self) -> None:
        self._ends_with_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    @property
    def is_over(self) -> bool:
        """Whether the terminal is gone and the server is to end with it."""
        return self._ends_with_terminal and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
