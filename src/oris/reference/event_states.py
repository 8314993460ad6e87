"""The states that each event leads to, found by folding examples of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from oris.core.events import Body, RunCreated
from oris.core.fold import evolve
from oris.core.model import Job, Status
from oris.ids import JobKey, RunId

_KEY, _RUN = JobKey("t/thread"), RunId("run_1")
_CREATED = {"type": "run_created", "workflow": "w", "priority": 0, "available_ms": 0, "due_ms": None, "traceparent": ""}


UNCHANGED = "unchanged"


def states_after(body: type[Body]) -> list[str]:
    """The statuses that an event of this type can give a run, in the order of the model; `UNCHANGED` last."""
    found: set[str] = set()
    for example in _examples(body):
        if isinstance(example, RunCreated):
            found.add(_next(None, example))
            continue
        changes = [(before.status, _next(before, example)) for before in _runs()]
        changed = {after for before, after in changes if after != before}
        found |= changed or {UNCHANGED}
    return [status for status in (*get_args(Status), UNCHANGED) if status in found]


def _runs() -> Iterator[Job]:
    """Runs before the event, with enough waits for one to be settled."""
    created = msgspec.convert(_CREATED, RunCreated)
    job = evolve(None, _KEY, _RUN, 1, 0, created, b"")
    for interrupts in (1, 2):
        for status in ("running", "queued"):
            yield replace(job, status=status, waits_open=3, interrupts_open=interrupts)


def _next(before: Job | None, body: Body) -> Status:
    return evolve(before, _KEY, _RUN, 2, 1, body, b"").status


def _examples(body: type[Body]) -> Iterator[Body]:
    """One with the first value of each field, then one for each other value of each field."""
    info = inspect.type_info(body)
    assert isinstance(info, inspect.StructType)
    choices = {field.encode_name: list(_values(field.type)) for field in info.fields}
    first = {name: values[0] for name, values in choices.items() if values}
    others = ({**first, name: value} for name, values in choices.items() for value in values[1:])
    for fields in (first, *others):
        yield msgspec.convert({"type": info.tag, **fields}, body)


def _values(kind: inspect.Type) -> Iterator[Any]:
    """Values of a type that may lead to different states; none for what can be left out and never decides."""
    match kind:
        case inspect.UnionType():
            if any(isinstance(part, inspect.NoneType) for part in kind.types):
                yield None
            for part in kind.types:
                if not isinstance(part, inspect.NoneType | inspect.StructType):
                    yield from _values(part)
        case inspect.LiteralType():
            yield from sorted(map(str, kind.values))
        case inspect.IntType():
            yield from (0, 1)
        case inspect.BoolType():
            yield from (False, True)
        case inspect.StrType():
            yield "text"
        case inspect.VarTupleType():
            yield ()
        case _:
            return
