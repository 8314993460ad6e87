"""Texts that users meet avoid the words that make readers guess: see "English" in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
SHOWN_DOCSTRINGS = ("oris/wire/", "oris/cli/")
"""Where docstrings are shown: as descriptions of the OpenAPI document, and as help of the command line."""

RIDDLES: dict[str, str] = {
    r"\b(who|what|which|when)ever\b": "name the person or the thing",
    r"\b(he|him|his)\b": "name the person: the client, the worker, the operator",
    r"\bthose there\b": "name the things",
    r"\b(not|no|none|nothing|nobody) [^.;:]*\bany ?more\b": "say `no longer`",
    r"\bfor good\b": "say `permanently`",
    r"\bin vain\b": "say what failed",
    r"\b(can)?not [^.;:,]*\b(nobody|nothing|none|never)\b": "a double negative: say what happens",
    r"\b(nobody|nothing|none|never) [^.;:,]*\b(can)?not\b": "a double negative: say what happens",
    r"\b(is|are|was|were) no (longer )?such\b": "say what does not exist",
    r"\bwill do\b": "say what is allowed",
    r"^None: ": "None is no subject: say what None means in a sentence",
}


def riddles(source: str, where: str) -> list[str]:
    """Each text of one source file with words that make readers guess, and what to write instead."""
    return [
        f"{where}: line {line}: {text!r}: {advice}"
        for line, text in _texts(ast.parse(source), where)
        for pattern, advice in RIDDLES.items()
        if re.search(pattern, text, re.IGNORECASE)
    ]


def _texts(tree: ast.Module, where: str) -> Iterator[tuple[int, str]]:
    """All strings of a file with their lines; docstrings only where they are shown."""
    shown = _docstrings(tree) if where.startswith(SHOWN_DOCSTRINGS) else set()
    hidden = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and node not in shown}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            hidden.update(node.values)
            parts = (each.value if isinstance(each, ast.Constant) else "X" for each in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in hidden:
            yield node.lineno, node.value


def _docstrings(tree: ast.Module) -> set[ast.stmt]:
    """The docstrings of public classes and functions."""
    named = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {node.body[0] for node in named if not node.name.startswith("_")}


def test_texts_that_users_meet_do_not_make_them_guess() -> None:
    sources = sorted(SRC.rglob("*.py"))
    assert len(sources) > 50
    found: list[str] = []
    for path in sources:
        found += riddles(path.read_text(), path.relative_to(SRC).as_posix())
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "give it to whoever asks",
        "a client and his keys",
        "those there go on",
        "the file is not there any more",
        "the session is over for good",
        "waited in vain",
        "nobody is not told",
        "it does not accept nothing",
        "there is no such escape",
        "any address will do",
        "None: the poll got no work",
    ],
)
def test_a_planted_riddle_is_found(text: str) -> None:
    assert riddles(f"x = {text!r}", "oris/core/planted.py")
    assert riddles(f"x = f{text + ' {y}'!r}", "oris/core/planted.py")
    assert riddles(f"def f() -> None:\n    {text!r}\n", "oris/cli/planted.py")


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("oris/core/x.py", 'x = "the server is overloaded; existing jobs continue, try again later"'),
        ("oris/core/x.py", 'x = "nothing was written; the lease is not live"'),
        ("oris/core/x.py", 'x = "no such thread"'),
        ("oris/core/x.py", 'def f() -> None:\n    "What whoever reads code may meet."\n'),
        ("oris/cli/x.py", 'def _f() -> None:\n    "What whoever reads code may meet."\n'),
    ],
)
def test_plain_texts_and_docstrings_of_code_are_not(where: str, source: str) -> None:
    assert riddles(source, where) == []
