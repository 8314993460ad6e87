"""What the demo indexes: the project's own documents and sources, or the package's, where it is installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import oris

DOCUMENTS_MAX = 200
"""So many are enough, and the demo stays short however the project grows."""
_PACKAGE = Path(oris.__file__).parent


@dataclass(frozen=True)
class DocumentFile:
    """One file and the thread that is its job."""

    thread_id: str
    path: Path


def documents() -> list[DocumentFile]:
    """`docs/*.md` and every `*.py` of the checkout; without a checkout the package's own files."""
    root = _PACKAGE.parent.parent
    if (root / "pyproject.toml").is_file() and (root / "docs").is_dir():
        found = [*root.glob("docs/*.md"), *root.glob("src/**/*.py"), *root.glob("tests/**/*.py")]
    else:
        root = _PACKAGE.parent
        found = list(_PACKAGE.rglob("*.py"))
    whole = [DocumentFile(thread_of(path.relative_to(root)), path) for path in sorted(found) if path.stat().st_size]
    return whole[:DOCUMENTS_MAX]


def thread_of(path: Path) -> str:
    """A file's name as the name of a thread, which has no slashes."""
    return re.sub(r"[^A-Za-z0-9._:-]", "+", path.as_posix().replace("/", ":"))
