"""The docstrings of `oris.core.events`: of each class, and of each of its fields."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass

from oris.core import events

COMMON = {
    "lease_id": "The lease.",
    "worker_key": "The worker, as `tenant/worker_id`; the tenant is empty for a worker of all tenants.",
    "wait_id": "The wait.",
    "kind": "What the wait waits for.",
    "by": "Who did it, as `actor_type:actor_id` of the audit trail.",
    "payload_bytes": "Size of the payload.",
}
"""Fields that many events have; a docstring of the field's own comes first."""


@dataclass(frozen=True)
class Documented:
    """What the source says of a class."""

    when: str
    payload: str | None
    """None: the event never has one."""
    fields: dict[str, str]


def documented() -> dict[str, Documented]:
    """Each class of the module by its name. Raises KeyError for a field that nothing is said of."""
    tree = ast.parse(inspect.getsource(events))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: _of_class(node) for node in classes if node.name != "Entry"}


def _of_class(node: ast.ClassDef) -> Documented:
    text = re.sub(r"\s+", " ", ast.get_docstring(node) or "")
    when, _, payload = text.partition(" Payload: ")
    own = _fields(node)
    fields = {name: doc or COMMON[name] for name, doc in own.items()}
    return Documented(when, payload[:1].upper() + payload[1:] if payload else None, fields)


def _fields(node: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    last = ""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            last = statement.target.id
            found[last] = ""
        elif last and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[last] = re.sub(r"\s+", " ", str(statement.value.value))
    return found
