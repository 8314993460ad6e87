"""Items of a list: each ends on its own, in the words of the error envelope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, Struct

from oris.core.replies import Refusal
from oris.wire.workers import ErrorView, ItemError, ItemOk


def item(reply: object, show: Callable[[Any], Struct]) -> ItemOk | ItemError:
    """One item: what `show` makes of the reply, or why it was refused."""
    if isinstance(reply, Refusal):
        return ItemError(ErrorView(reply.code, reply.message, dict(reply.details) if reply.details else UNSET))
    return ItemOk(show(reply))
