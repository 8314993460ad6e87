"""Whether what was sent has come to a client that has ended its own side.

Such a client may have closed, or may still listen: its end looks the same (RFC 9112, section 9.6). What tells them
apart is what its system says to the answer: it confirms it where somebody may read it, and resets where nobody will.
"""

from __future__ import annotations

import fcntl
import select
import struct
import termios

import trio

LIMIT_S = 1.0
"""So long without any part being confirmed, and the client's system is taken to be away."""
_FIRST_PAUSE_S = 0.001
_LAST_PAUSE_S = 0.05


async def has_arrived(socket: trio.socket.SocketType) -> bool:
    """Wait until all that was sent is confirmed (True), or refused, or nothing more is confirmed (False).

    A checkpoint unless that is known at once. Where a system cannot tell, nothing counts as arrived.
    """
    unconfirmed, pause_s = _unconfirmed_bytes(socket), _FIRST_PAUSE_S
    deadline_s = trio.current_time() + LIMIT_S
    while unconfirmed > 0 and not is_reset(socket) and trio.current_time() < deadline_s:
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LAST_PAUSE_S)
        before, unconfirmed = unconfirmed, _unconfirmed_bytes(socket)
        if unconfirmed < before:
            deadline_s = trio.current_time() + LIMIT_S
    # In this order: a reset also empties what is left to send.
    return unconfirmed == 0 and not is_reset(socket)


def is_reset(socket: trio.socket.SocketType) -> bool:
    """Whether it was closed here, or reset by the client's system, as far as ours knows. A call of the system."""
    if socket.fileno() == -1:
        return True
    poll = select.poll()
    poll.register(socket.fileno(), 0)  # errors and POLLHUP are always told
    return bool(poll.poll(0))


def _unconfirmed_bytes(socket: trio.socket.SocketType) -> int:
    """How much of what was sent the client's system has not confirmed; -1 when nobody can tell."""
    if socket.fileno() == -1:
        return -1
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    except OSError:
        return -1
    return int(count)
