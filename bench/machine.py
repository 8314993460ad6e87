"""What the numbers were taken on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Latency

_SYNCS = 50
_PAGE = bytes(4096)


@dataclass(frozen=True)
class Machine:
    """No names and no paths."""

    cpu: str
    cores: int
    python: str
    sqlite: str
    sync: Latency
    """Appending 4 KiB to a file and fdatasync, in the folder for temporary files: what a commit costs at least."""


def machine() -> Machine:
    """This one."""
    return Machine(_cpu(), os.cpu_count() or 0, platform.python_version(), sqlite3.sqlite_version, _sync())


def _cpu() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _sync() -> Latency:
    samples = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            start_s = time.perf_counter()
            os.write(file.fileno(), _PAGE)
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - start_s) * 1000)
    return Latency.of(samples)
