"""What the control group allows, out of files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from oris.server.memory import bodies_default_bytes, memory_limit_bytes

MIB = 1024 * 1024
GIB = 1024 * MIB
MEMINFO = "MemTotal:        8388608 kB\nMemFree:          100000 kB\n"
NO_LIMIT_V1 = "9223372036854771712"


def machine(root: Path, files: dict[str, str]) -> Path:
    """A tree of files; those of the machine's memory are always there."""
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        pytest.param({}, 8 * GIB, id="no control groups"),
        pytest.param(
            {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": str(512 * MIB)}, 512 * MIB, id="a container, v2"
        ),
        pytest.param({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"}, 8 * GIB, id="v2 without limit"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/system.slice/oris.service",
                "sys/fs/cgroup/system.slice/oris.service/memory.max": str(2 * GIB),
                "sys/fs/cgroup/system.slice/memory.max": str(1 * GIB),
            },
            1 * GIB,
            id="a unit whose slice is smaller, v2",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../outside", "sys/fs/cgroup/memory.max": str(300 * MIB)},
            300 * MIB,
            id="a path outside the namespace, v2",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/",
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": str(256 * MIB),
                "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
            },
            256 * MIB,
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/docker/of-the-host",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": str(128 * MIB),
            },
            128 * MIB,
            id="v1 in a container that sees only its own part",
        ),
        pytest.param(
            {"proc/self/cgroup": "4:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1},
            8 * GIB,
            id="v1 without limit",
        ),
        pytest.param(
            {"proc/self/cgroup": "4:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes": "what"},
            8 * GIB,
            id="nonsense",
        ),
        pytest.param(
            {"proc/self/cgroup": "nonsense", "sys/fs/cgroup/memory.max": str(1 * MIB)}, 8 * GIB, id="no known form"
        ),
    ],
)
def test_the_lowest_limit_above_the_process_counts(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    assert memory_limit_bytes(machine(tmp_path, files)) == limit


def test_a_system_without_these_files_has_no_known_limit(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("memory", "body", "bodies"),
    [
        (None, 4 * MIB, 256 * MIB),
        (8 * GIB, 4 * MIB, 256 * MIB),
        (512 * MIB, 4 * MIB, 128 * MIB),
        (8 * MIB, 4 * MIB, 4 * MIB),
        (8 * GIB, 300 * MIB, 300 * MIB),
    ],
)
def test_bodies_may_take_a_quarter_of_the_memory_but_always_one_of_full_size(
    memory: int | None, body: int, bodies: int
) -> None:
    assert bodies_default_bytes(memory, body) == bodies
