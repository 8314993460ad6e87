"""docs/events.md, made from the structs and docstrings of `oris.core.events` and from the fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec
from msgspec import inspect

from oris.core.events import Body, RaisedWait, ReplayOf
from oris.reference.event_docs import Documented, documented
from oris.reference.event_states import UNCHANGED, states_after

_PARTS: dict[type[msgspec.Struct], str] = {RaisedWait: "wait", ReplayOf: "replay"}
"""The objects within events, by the names that the page gives them."""


def events_page() -> str:
    """The page as Markdown: an overview, a section for each event, and the objects within them."""
    docs = documented()
    bodies: Sequence[type[Body]] = get_args(Body)
    return _PAGE.format(
        overview="".join(_overview(body, docs[body.__name__]) for body in bodies),
        sections="\n".join(_section(body, docs[body.__name__]) for body in bodies),
        parts="\n".join(_part(part, docs[part.__name__]) for part in _PARTS),
    )


def _overview(body: type[Body], doc: Documented) -> str:
    name = type_name(body)
    return f"| [`{name}`](#{name}) | {doc.when} | {'yes' if doc.payload else ''} | {_states(body)} |\n"


def _section(body: type[Body], doc: Documented) -> str:
    payload = doc.payload or "None."
    text = f"### {type_name(body)}\n\n{doc.when}\n\n- **Payload.** {payload}\n- **Status after it.** {_states(body)}\n"
    return text + _fields(body, doc)


def _part(part: type[msgspec.Struct], doc: Documented) -> str:
    return f"### Object {_PARTS[part]}\n\n{doc.when}\n{_fields(part, doc)}"


def type_name(body: type[Body]) -> str:
    """The event type, which is the tag of the struct."""
    return str(body.__struct_config__.tag)


def _states(body: type[Body]) -> str:
    return " or ".join(state if state == UNCHANGED else f"`{state}`" for state in states_after(body))


def _fields(struct: type[msgspec.Struct], doc: Documented) -> str:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    rows = "".join(
        f"| `{field.encode_name}` | {_type_of(field)} | {doc.fields[field.name]} |\n" for field in info.fields
    )
    return f"\n| field | type | meaning |\n|---|---|---|\n{rows}" if rows else "\nIts `data` has no other fields.\n"


def _type_of(field: inspect.Field) -> str:
    """The type in JSON. A value that is the default is left out, so an optional field is never null."""
    if field.required:
        return _type(field.type)
    name = _type(field.type).removesuffix(" or null") + ", optional"
    says_nothing = field.default is None or field.default is msgspec.NODEFAULT or field.default == ()
    return name if says_nothing else f"{name} (`{msgspec.json.encode(field.default).decode()}`)"


def _type(kind: inspect.Type) -> str:
    match kind:
        case inspect.UnionType():
            kinds = [_type(part) for part in kind.types if not isinstance(part, inspect.NoneType)]
            return " or ".join(kinds) + (" or null" if any(isinstance(p, inspect.NoneType) for p in kind.types) else "")
        case inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in sorted(map(str, kind.values)))
        case inspect.IntType():
            return "integer"
        case inspect.StrType():
            return "string"
        case inspect.BoolType():
            return "boolean"
        case inspect.RawType():
            return "object"
        case inspect.StructType():
            return f"object [{_PARTS[kind.cls]}](#object-{_PARTS[kind.cls]})"
        case inspect.VarTupleType():
            return f"list of {_type(kind.item_type)}"
        case inspect.TupleType():
            return "[" + ", ".join(map(_type, kind.item_types)) + "]"
        case _:
            raise TypeError(f"the page has no word for {kind}")


_PAGE = """\
# Events

This page is printed by `python -m oris reference events` from `src/oris/core/events.py`; the states come from
`src/oris/core/fold.py`.

A thread's timeline is a list of events, numbered by `seq` without gaps. Events are the only way a run changes: folding
them gives the stored run. `GET /v1/jobs/{{thread_id}}/timeline` shows them, and `…/events` streams them
([api.md](api.md#jobs)). The tables below describe `data`, which is stored and hashed as it is.

- `data` also has `type`, the same as `event_type`.
- The **payload** is a client's value that came with the event: `payloads=true` shows it. Retention can erase it; the
  hash chain still verifies.
- Names that end in `_ms` are milliseconds; points in time are counted from 1970. A **date** goes by the calendar; other
  times go by the clock of leases ([architecture.md](architecture.md#time)).
- Names that end in `_bytes` are sizes in bytes.
- An optional field is left out when it has its default value, which stands in parentheses if there is one.
- A later version may add events and fields. Programs should ignore those that they do not know.

## Overview

| event | when | payload | status after it |
|---|---|---|---|
{overview}
## The events

{sections}
## Objects within events

{parts}"""
