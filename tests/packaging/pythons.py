"""The Pythons of this machine, and which of them the project is tried on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ASK_LIMIT_S = 20
_NAME = re.compile(r"python(3(\.\d+)?)?")
_ASK = """
import importlib, json, sys
lacking = []
for name in ("sqlite3", "ssl", "venv", "ensurepip"):
    try:
        importlib.import_module(name)
    except ImportError:
        lacking.append(name)
print(json.dumps([sys.implementation.name, list(sys.version_info[:3]), sys.version_info[3], lacking]))
"""


@dataclass(frozen=True)
class Python:
    """An interpreter. `lacking` are modules of the standard library that it was built without."""

    path: Path
    version: tuple[int, int, int]
    lacking: tuple[str, ...] = ()

    @property
    def minor(self) -> tuple[int, int]:
        """What the project is for or not: 3.13."""
        return self.version[:2]

    @property
    def shown(self) -> str:
        """As a person writes it."""
        return ".".join(map(str, self.version))


def project() -> dict[str, Any]:
    """The `project` table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def oldest_minor() -> tuple[int, int]:
    """What `requires-python` begins with."""
    matched = re.fullmatch(r">=(\d+)\.(\d+)", project()["requires-python"])
    assert matched is not None, "requires-python is not >=MAJOR.MINOR"
    return int(matched[1]), int(matched[2])


def minors_tested() -> list[tuple[int, int]]:
    """Those that the classifiers name, in their order."""
    named = re.findall(r"Programming Language :: Python :: (\d+)\.(\d+)", "\n".join(project()["classifiers"]))
    return [(int(major), int(minor)) for major, minor in named]


def places(environment: dict[str, str], home: Path) -> list[Path]:
    """Where interpreters are looked for: PATH, and pyenv's folder, whose own commands on PATH are only stand-ins."""
    on_path = [Path(folder) for folder in environment.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(environment.get("PYENV_ROOT") or home / ".pyenv")
    return [*on_path, *sorted(pyenv.glob("versions/*/bin"))]


def candidates(folders: Iterable[Path]) -> list[Path]:
    """The files there that are called like a Python, each once, whatever links lead to it."""
    found: dict[Path, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("python*")):
            if _NAME.fullmatch(path.name) and os.access(path, os.X_OK):
                found.setdefault(path.resolve(), path)
    return list(found.values())


def ask(path: Path) -> Python | None:
    """What an interpreter says of itself; None where nothing that can be used answers (a stand-in, a pre-release)."""
    try:
        done = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True, timeout=ASK_LIMIT_S, check=True)
        kind, version, level, lacking = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if kind != "cpython" or level != "final":
        return None
    return Python(path, tuple(version), tuple(lacking))


@dataclass(frozen=True)
class Choice:
    """What is to be tried, and a line for each that is not."""

    to_try: tuple[Python, ...]
    words: tuple[str, ...]


def choose(found: Sequence[Python], oldest: tuple[int, int], here: tuple[int, int], *, each: bool = False) -> Choice:
    """The oldest and the newest (or with `each` one of every minor version), but for the one that all tests run on.

    `here` is that one's. Of one minor version the newest patch stands for all.
    """
    words: list[str] = []
    by_minor: dict[tuple[int, int], Python] = {}
    for python in sorted(found, key=lambda python: python.version):
        if python.minor < oldest:
            continue
        if python.lacking:
            words.append(f"{python.shown} is passed over: it was built without {', '.join(python.lacking)}")
        else:
            by_minor[python.minor] = python
    minors = sorted(by_minor.keys() | {here})
    wanted = minors if each else sorted({minors[0], minors[-1]})
    if here in wanted:
        words.append(f"{_shown(here)} is the Python of `make test`, which runs every test on it")
    to_try = tuple(by_minor[minor] for minor in wanted if minor != here)
    if not to_try:
        words.append("this machine has no other Python to try")
    return Choice(to_try, tuple(words))


def _shown(minor: tuple[int, int]) -> str:
    return ".".join(map(str, minor))
