"""What this worker does: four steps that index one document. A worker of yours has others here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

TOP_TERMS = 40


class Document(Protocol):
    """What a step sees: the job's input and what the steps before it left."""

    @property
    def path(self) -> Path: ...
    @property
    def outputs(self) -> dict[str, Any]: ...


def read(document: Document) -> str:
    """The text."""
    return document.path.read_text(encoding="utf-8")


def split(document: Document) -> list[str]:
    """The words of the text, in order."""
    return re.findall(r"[a-z][a-z_]{2,}", document.outputs["read"].lower())


def count_terms(document: Document) -> dict[str, int]:
    """The most frequent words, with how often they come."""
    return dict(Counter(document.outputs["split"]).most_common(TOP_TERMS))


def store(document: Document) -> int:
    """How many terms went into the index; the line in the journal is the index."""
    return len(document.outputs["count_terms"])


STEPS: tuple[tuple[str, Callable[[Document], Any]], ...] = (
    ("read", read),
    ("split", split),
    ("count_terms", count_terms),
    ("store", store),
)
