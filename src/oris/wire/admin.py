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


class TaskView(Struct, frozen=True):
    """One task of the tree."""

    name: str
    state: str
    restarts: int
    last_error: str | None
    since_beat_ms: int | None


class SpaceView(Struct, frozen=True):
    """The store's disk: what is free, what the WAL takes, what the reserve should be and what is left of it."""

    free_bytes: int
    wal_bytes: int
    reserve_bytes: int
    held_bytes: int
    low: bool


class StoreStatusView(Struct, frozen=True):
    """How the store is, in words and numbers."""

    state: str
    failure: str | None
    disk: str | None
    space: SpaceView | None


class RetentionView(Struct, frozen=True):
    """For how many days what is kept, 0: for ever; and whether an operator holds it all."""

    days: int
    audit_days: int
    hold: bool


class StatusView(Struct, frozen=True):
    """The status page for operators. What only the store knows is null while it does not answer."""

    mode: str
    reason: str | None
    versions: dict[str, str]
    node_id: str
    tasks: tuple[TaskView, ...]
    store: StoreStatusView
    clock_skew_ms: int
    admission_level: int
    queue_depth: int
    delayed_jobs: int
    parked_polls: int
    watched_sessions: int
    waiters: int
    listeners: int
    connections: int
    retention: RetentionView
    limits: dict[str, int]
    modes: tuple[ModeView, ...]
    active_leases: int | None
    nodes: tuple[NodeView, ...] | None
    http: dict[str, int]
    """Requests under way, bytes held, and what was refused or closed for want of room; empty before it is served."""
