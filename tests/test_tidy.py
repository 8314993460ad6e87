"""Time, chance, output and sleep stay where they belong; nothing is left undone, swallowed or overgrown."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"

MODULES: dict[str, tuple[str, ...]] = {
    "time": ("oris/clock.py", "oris/demo/"),
    "random": ("oris/server/", "oris/sim/", "oris/demo/"),
    "secrets": ("oris/server/", "oris/api/", "oris/cli/"),
    "uuid": (),
}
"""Where these may be imported: everybody else is handed a clock or a source of chance."""

SLEEPS: dict[str, str] = {
    "oris/api/stream.py": "the kernel tells nobody of an end behind something unread",
    "oris/api/arrival.py": "the kernel tells nobody when what was sent is confirmed",
    "oris/server/gauges.py": "refreshes gauges at an interval",
    "oris/server/keys.py": "looks at the stored keys at an interval",
    "oris/server/disk.py": "looks at the disk at an interval",
    "oris/engine/committer.py": "a pause before the store is asked again",
    "oris/storage/sqlite/store.py": "a pause before another program's lock is tried again",
    "oris/api/listener.py": "a pause when the process is out of file descriptors",
}
"""Where `trio.sleep` is called, and why: elsewhere a deadline, an event or a wake-up does it."""

PRINTS: tuple[str, ...] = ()
LONG_FILES: tuple[str, ...] = ()
LONG_FUNCTIONS: tuple[str, ...] = ()
FILE_LINES = 400
FUNCTION_LINES = 60
WORDS = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
UNDONE = re.compile(rf"\b({'|'.join(WORDS)})\b")


def findings(source: str, where: str) -> list[str]:
    """All that is untidy in one source file of the program."""
    tree = ast.parse(source)
    found = [*_imports(tree, where), *_calls(tree, where), *_swallowed(tree), *_sizes(source, tree, where)]
    return [f"{where}: {text}" for text in [*found, *_undone(source)]]


def _imports(tree: ast.AST, where: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
            if node.module == "trio" and any(alias.name == "sleep" for alias in node.names):
                yield f"line {node.lineno}: sleep is called as trio.sleep"
        else:
            continue
        for name in names:
            if name in MODULES and not where.startswith(MODULES[name]):
                yield f"line {node.lineno}: imports {name}"


def _calls(tree: ast.AST, where: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name == "print" and where not in PRINTS:
            yield f"line {node.lineno}: prints"
        if name.split(".")[-1] in ("now", "utcnow", "today") and name.split(".")[0] in ("datetime", "date", "dt"):
            yield f"line {node.lineno}: reads the clock with {name}"
        if name == "trio.sleep" and where not in SLEEPS:
            yield f"line {node.lineno}: sleeps"
        if name.endswith("suppress") and any(ast.unparse(arg) in _BROAD for arg in node.args):
            yield f"line {node.lineno}: swallows every error"


_BROAD = ("Exception", "BaseException")


def _swallowed(tree: ast.AST) -> Iterator[str]:
    """Broad handlers whose body says nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = any(kind is None or ast.unparse(kind) in _BROAD for kind in kinds)
            if broad and all(_says_nothing(statement) for statement in node.body):
                yield f"line {node.lineno}: swallows every error"


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Return):
        return statement.value is None
    nothing = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return nothing or isinstance(statement, ast.Pass | ast.Continue)


def _sizes(source: str, tree: ast.AST, where: str) -> Iterator[str]:
    lines = source.count("\n")
    if lines > FILE_LINES and where not in LONG_FILES:
        yield f"{lines} lines in one file"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES and f"{where}:{node.name}" not in LONG_FUNCTIONS:
                yield f"{lines} lines in {node.name}"


def _undone(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) and UNDONE.search(token.string):
            yield f"line {token.start[0]}: left undone"


def test_the_program_is_tidy() -> None:
    sources = sorted(SRC.rglob("*.py"))
    assert len(sources) > 50
    found: list[str] = []
    for path in sources:
        found += findings(path.read_text(), path.relative_to(SRC).as_posix())
    assert found == []


def test_nothing_is_left_undone_in_tests_and_benches() -> None:
    found: list[str] = []
    for folder in ("tests", "bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found += [f"{path.relative_to(ROOT)}: {text}" for text in _undone(path.read_text())]
    assert found == []


def test_no_exception_to_the_rules_outlives_its_need() -> None:
    for where in SLEEPS:
        assert "trio.sleep(" in (SRC / where).read_text(), where
    for where in (*LONG_FILES, *PRINTS, *(name.partition(":")[0] for name in LONG_FUNCTIONS)):
        assert (SRC / where).exists(), where


@pytest.mark.parametrize(
    "planted",
    [
        "import time",
        "from time import monotonic",
        "import random",
        "import uuid",
        "print(1)",
        "datetime.now()",
        "datetime.datetime.utcnow()",
        "import trio\nasync def f():\n    await trio.sleep(1)",
        "from trio import sleep",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept:\n    return",
        "try:\n    f()\nexcept (ValueError, BaseException):\n    ...",
        "with contextlib.suppress(Exception):\n    f()",
        "x = 1  # " + WORDS[0],
        "x = 1\n" * 401,
        "def f():\n" + "    x = 1\n" * 60,
    ],
)
def test_a_planted_untidiness_is_found(planted: str) -> None:
    assert findings(planted + "\n", "oris/core/planted.py")


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("oris/clock.py", "import time"),
        ("oris/engine/committer.py", "import trio\nasync def f():\n    await trio.sleep(1)"),
        ("oris/core/x.py", "try:\n    f()\nexcept ValueError:\n    pass"),
        ("oris/core/x.py", "try:\n    f()\nexcept Exception as error:\n    log(error)"),
        ("oris/core/x.py", "x = 1\n" * 399),
        ("oris/core/x.py", 'x = "\\\\uXXXX"'),
        ("oris/core/x.py", "def f():\n" + "    x = 1\n" * 59),
    ],
)
def test_what_is_lawful_is_not(where: str, source: str) -> None:
    assert findings(source + "\n", where) == []
