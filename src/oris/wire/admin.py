"""Requests and answers for those who run the server."""

from __future__ import annotations

from msgspec import Struct

from oris.wire.names import Name, Text


class ModeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What is switched off or on; without a node for the whole cluster."""

    submit: bool
    dispatch: bool
    reason: Text | None = None
    node: Name | None = None


class ModeView(Struct, frozen=True):
    """A switch as it stands; `node` is null for the whole cluster's."""

    node: str | None
    submit: bool
    dispatch: bool
    reason: str | None
    set_by: str
    set_at: str


class NodeView(Struct, frozen=True):
    """A node that has ever committed anything."""

    node: str
    last_commit_at: str
