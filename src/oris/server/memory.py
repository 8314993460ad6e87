"""How much memory this process may use: what its control group allows, or what the machine has.

Inside a container the machine's memory says nothing; the kernel ends a process that passes its group's limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

BODIES_MAX_BYTES = 256 * 1024 * 1024
"""Request bodies held at one time, where memory is plenty."""
BODIES_PART = 4
"""On a small machine they may take a quarter of the memory; the rest is for what becomes of them."""


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """The lowest limit there is: of the control group (version 2 or 1) and of those above it, of the machine.

    `root` is where `proc` and `sys` are. None where nothing can be read, as on systems without them.
    """
    found = [limit for limit in (_machine(root), *_groups(root)) if limit is not None]
    return min(found, default=None)


def bodies_default_bytes(memory_bytes: int | None, body_max_bytes: int) -> int:
    """How many bytes of bodies to hold at most: 256 MiB or a quarter of the memory; always one body of full size."""
    part = BODIES_MAX_BYTES if memory_bytes is None else memory_bytes // BODIES_PART
    return max(body_max_bytes, min(BODIES_MAX_BYTES, part))


def _machine(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "MemTotal" and words and words[0].isdigit():
            return int(words[0]) * 1024
    return None


def _groups(root: Path) -> Iterator[int | None]:
    mounts = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            base, name = mounts, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = mounts / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, and only the top of the tree is to be seen.
        inside = PurePosixPath(path.lstrip("/"))
        for group in (inside, *inside.parents):
            if ".." not in group.parts:
                yield _number(_read(base / group / name))


def _number(text: str) -> int | None:
    """A limit; `max` in version 2 and a number beyond any memory in version 1 stand for none."""
    word = text.strip()
    return int(word) if word.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""  # not this version, not this system, or not visible from here
