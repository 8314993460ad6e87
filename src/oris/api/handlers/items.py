"""Bodies that bring one item or a list of them, and answers in which each item ends on its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from msgspec import UNSET, Raw, Struct
from msgspec.structs import FieldInfo, fields

from oris.core.replies import Refusal
from oris.errors import ApiError, invalid
from oris.wire.jobs import is_given
from oris.wire.workers import ErrorView, ItemError, ItemOk

T = TypeVar("T", bound=Struct)


def one_or_list(body: Struct, listed: str, one: type[T]) -> tuple[list[T], list[str]]:
    """The items of a body that holds either the fields of one, or a list of them under the name `listed`.

    With each goes what stands before the names of its fields in errors. Raises 400 for both and for neither.
    """
    items: list[T] | None = getattr(body, listed)
    known = _fields(one)
    given = {field.name: getattr(body, field.name) for field in known}
    if items is not None:
        beside = [name for name in given if _is_given(given[name])]
        if beside:
            raise invalid(beside[0], f"give {beside[0]} or {listed}, not both")
        return items, [f"{listed}[{place}]." for place in range(len(items))]
    for field in known:
        if field.required and given[field.name] is None:
            raise invalid(field.name, f"this field is required, unless {listed} is given")
    return [one(**given)], [""]


@cache
def _fields(one: type[Struct]) -> tuple[FieldInfo, ...]:
    # msgspec evaluates the annotations anew each time it is asked.
    return fields(one)


def _is_given(value: object) -> bool:
    return is_given(value) if isinstance(value, Raw) else value is not None


def item(reply: object, show: Callable[[Any], T]) -> ItemOk[T] | ItemError:
    """One item: what `show` makes of the reply, or why it was refused."""
    if isinstance(reply, Refusal):
        return ItemError(ErrorView(reply.code, reply.message, dict(reply.details) if reply.details else UNSET))
    return ItemOk(show(reply))


def refusal_of(error: ApiError) -> Refusal:
    """An item that was refused before any command could be made of it."""
    return Refusal(error.code, error.message, error.details)
