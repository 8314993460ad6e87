"""What the kernel says of a process."""

from __future__ import annotations

import re
from pathlib import Path


def rss_bytes(pid: int) -> int:
    """Its resident memory."""
    return _status(pid, "VmRSS")


def peak_rss_bytes(pid: int) -> int:
    """The most it ever had."""
    return _status(pid, "VmHWM")


def sockets(pid: int) -> int:
    """How many sockets it has open."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(link.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # closed meanwhile
    return count


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024
