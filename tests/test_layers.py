"""A module imports only from the layers that are written here: extend the list on purpose, or change the import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"

CORE = ("oris.core", "oris.audit_actions", "oris.errors", "oris.ids")
ANYWHERE = ("oris.errors", "oris.ids", "oris.clock")
STORE = ("oris.storage.store", "oris.storage.reads", "oris.storage.pages", "oris.storage.hints")
"""What is the same for every store."""
STORE_SIDE = (
    *(
        *CORE,
        *STORE,
        "oris.storage.stretch",
        "oris.storage.open_store",
        "oris.storage.audit_trail",
        "oris.storage.migrate",
    ),
    *("oris.clock", "oris.config"),
)

ALLOWED: dict[str, tuple[str, ...]] = {
    "oris.audit_actions": (),
    "oris.errors": (),
    "oris.ids": (),
    "oris.clock": (),
    "oris.patience": (),
    "oris.wire": ("oris.audit_actions", "oris.errors", "oris.ids"),
    "oris.config": ("oris.errors",),
    "oris.core": ("oris.audit_actions", "oris.errors", "oris.ids"),
    "oris.supervisor": ("oris.errors",),
    "oris.observability": ("oris.errors", "oris.ids", "oris.clock", "oris.config", "oris.wire"),
    "oris.storage": (*CORE, *STORE),
    "oris.storage.backends": ("oris.config", "oris.ids", "oris.storage"),
    "oris.storage.migrate": ("oris.errors", "oris.config"),
    "oris.storage.memory": STORE_SIDE,
    "oris.storage.sqlite": STORE_SIDE,
    "oris.storage.postgres": STORE_SIDE,
    "oris.engine": (*CORE, "oris.clock", "oris.patience", *STORE),
    "oris.api": (
        *CORE,
        "oris.clock",
        "oris.patience",
        "oris.config",
        "oris.wire",
        *STORE,
        "oris.observability",
        # The engine's face; never its committer, demand or inbox.
        "oris.engine.engine",
        "oris.engine.listeners",
        "oris.engine.unit",
        "oris.engine.waiters",
    ),
    "oris.server": (
        *CORE,
        "oris.clock",
        "oris.config",
        "oris.wire",
        "oris.supervisor",
        "oris.observability",
        "oris.storage",
        "oris.engine",
        "oris.api",
        "oris.console",
    ),
    "oris.console": (*CORE, "oris.api", "oris.wire"),
    "oris.reference": (*CORE, "oris.observability"),
    "oris.sim": ("oris",),
    "oris.ops": ("oris",),
    "oris.demo": ("oris",),
    "oris.cli": ("oris",),
    "oris.__main__": ("oris.cli",),
    "oris.client": (*ANYWHERE, "oris.wire"),
    "oris.worker": (*ANYWHERE, "oris.wire", "oris.client"),
    "oris.testing": (*ANYWHERE, "oris.wire", "oris.client", "oris.worker"),
}

BACKENDS = {
    "oris.storage.sqlite": ("oris.storage.backends", "oris.sim"),
    "oris.storage.postgres": ("oris.storage.backends",),
}
"""Who may name a store: everybody else works on what `backends` gives."""

PURE = frozenset({"__future__", "collections", "enum", "hashlib", "hmac", "itertools", "re", "typing", "msgspec"})
"""All that the core may import from outside: no clock, no chance, no files, no tasks."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "sqlite3": ("oris.storage.sqlite", "oris.cli", "oris.sim", "oris.ops"),
    "psycopg": ("oris.storage.postgres", "oris.cli", "oris.ops"),
    "quart": ("oris.api",),
    "quart_trio": ("oris.api",),
    "hypercorn": ("oris.api", "oris.server"),
    "prometheus_client": ("oris.observability",),
    "structlog": ("oris.observability",),
    "opentelemetry": ("oris.observability",),
    "asyncio": ("oris.client", "oris.worker", "oris.testing"),
}


def within(module: str, places: tuple[str, ...]) -> bool:
    """Whether a module is one of these, or inside one."""
    return any(module == place or module.startswith(place + ".") for place in places)


def layer_of(module: str) -> str | None:
    """The longest entry of the list that holds a module."""
    return max((name for name in ALLOWED if within(module, (name,))), key=len, default=None)


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, package: bool) -> Iterator[str]:
    """Every module that a source imports, wherever in it, submodules by their own names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + package]
                base = ".".join([*kept, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = SRC.joinpath(*base.split("."), alias.name)
                yield f"{base}.{alias.name}" if inner.with_suffix(".py").exists() or inner.is_dir() else base


def violations(source: str, module: str, *, package: bool = False) -> list[str]:
    """What a module imports and should not."""
    layer = layer_of(module)
    if layer is None:
        return [] if module == "oris" else [f"{module} is in no layer: name it in ALLOWED"]
    found = []
    for name in imports(source, module, package=package):
        top = name.partition(".")[0]
        if top == "oris":
            backend = next((each for each in BACKENDS if within(name, (each,))), None)
            if not within(name, (layer, *ALLOWED[layer])) or (
                backend and not within(module, (backend, *BACKENDS[backend]))
            ):
                found.append(f"{module} imports {name}")
        elif layer in CORE and top not in PURE:
            found.append(f"{module} is pure and imports {name}")
        elif top in ONLY_IN and not within(module, ONLY_IN[top]):
            found.append(f"{module} imports {name}")
    return found


SOURCES = sorted(SRC.rglob("*.py"))


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 50
    assert "oris.core.decide" in {module_of(path) for path in SOURCES}


def test_every_module_imports_only_from_its_layers() -> None:
    found: list[str] = []
    for path in SOURCES:
        found += violations(path.read_text(), module_of(path), package=path.name == "__init__.py")
    assert found == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("oris.core.retry", "import time"),
        ("oris.core.retry", "from random import random"),
        ("oris.core.decide.ack", "import trio"),
        ("oris.core.model", "from oris.storage.store import Store"),
        ("oris.core.model", "from oris import clock"),
        ("oris.core.model", "from ..engine import unit"),
        ("oris.storage.sqlite.write", "from oris.storage.postgres import load"),
        ("oris.storage.postgres.load", "import oris.storage.sqlite"),
        ("oris.storage.store", "from oris.engine.unit import Unit"),
        ("oris.supervisor.tree", "from oris.observability.logs import x"),
        ("oris.observability.metrics", "from oris.storage.store import Reads"),
        ("oris.api.dispatch", "from oris.engine import committer"),
        ("oris.api.dispatch", "def f():\n    import oris.supervisor.tree"),
        ("oris.engine.engine", "import sqlite3"),
        ("oris.client.calls", "from oris.core.model import Job"),
        ("oris.unheard_of", ""),
    ],
)
def test_a_planted_import_is_found(module: str, line: str) -> None:
    assert violations(line, module)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("oris.core.retry", "from oris.core.model import RetryPolicy"),
        ("oris.core.retry", "from oris import ids"),
        ("oris.core.decide.ack", "from ..model import Job"),
        ("oris.storage.sqlite.write", "import sqlite3"),
        ("oris.api.dispatch", "from oris.engine.engine import Engine"),
        ("oris.server.main", "import trio"),
    ],
)
def test_a_lawful_import_is_not(module: str, line: str) -> None:
    assert violations(line, module) == []
