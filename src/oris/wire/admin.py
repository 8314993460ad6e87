"""Requests and answers for those who run the server."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from oris.wire import fields as f
from oris.wire.names import Name, Text


class ModeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What is switched off or on; without a node for the whole cluster."""

    submit: Annotated[bool, f.about("Whether new jobs are accepted.")]
    dispatch: Annotated[bool, f.about("Whether polls are handed work.")]
    reason: Annotated[Text, f.about("Why.")] | None = None
    node: Annotated[Name, f.about("The node that it is for; null: the whole cluster.")] | None = None


class ModeView(Struct, frozen=True):
    """A switch as it stands; `node` is null for the whole cluster's."""

    node: Annotated[str, f.about("The node that it is for; null: the whole cluster.")] | None
    submit: Annotated[bool, f.about("Whether new jobs are accepted.")]
    dispatch: Annotated[bool, f.about("Whether polls are handed work.")]
    reason: Annotated[str, f.about("Why.")] | None
    set_by: Annotated[str, f.about("Who switched it.")]
    set_at: Annotated[str, f.about("When.")]


class NodeView(Struct, frozen=True):
    """A node that has ever committed anything."""

    node: Annotated[str, f.about("The node.")]
    last_commit_at: Annotated[str, f.about("When it last committed.")]


class TaskView(Struct, frozen=True):
    """One task of the tree."""

    name: Annotated[str, f.about("The task.")]
    state: Annotated[str, f.about("What it does now.")]
    restarts: Annotated[int, f.about("How often it was started again.")]
    last_error: Annotated[str, f.about("What ended it last; null: nothing did.")] | None
    since_beat_ms: (
        Annotated[int, f.about("How long ago it last moved, in milliseconds; null: it gives no sign of that.")] | None
    )


class SpaceView(Struct, frozen=True):
    """The store's disk: what is free, what the WAL takes, what the reserve should be and what is left of it."""

    free_bytes: Annotated[int, f.about("What is free on the disk.")]
    wal_bytes: Annotated[int, f.about("What the database's log takes.")]
    reserve_bytes: Annotated[int, f.about("How large the reserve should be.")]
    held_bytes: Annotated[int, f.about("How much of the reserve is left.")]
    low: Annotated[bool, f.about("True: there is too little space.")]


class StoreStatusView(Struct, frozen=True):
    """How the store is, in words and numbers."""

    state: Annotated[str, f.about("How the store is.")]
    failure: Annotated[str, f.about("What is wrong with it; null: nothing.")] | None
    disk: Annotated[str, f.about("How its disk is; null: unknown.")] | None
    space: Annotated[SpaceView, f.about("The space on its disk; null: unknown.")] | None


class RetentionView(Struct, frozen=True):
    """For how many days what is kept, 0: for ever; and whether an operator holds it all."""

    days: Annotated[int, f.about("For how many days finished runs are kept; 0: for ever.")]
    audit_days: Annotated[int, f.about("For how many days audit records are kept; 0: for ever.")]
    hold: Annotated[bool, f.about("True: an operator has told the server to keep everything.")]


class StatusView(Struct, frozen=True):
    """The status page for operators. What only the store knows is null while it does not answer."""

    mode: Annotated[str, f.about("What the server does now.")]
    reason: Annotated[str, f.about("Why, if it is not serving.")] | None
    versions: Annotated[dict[str, str], f.about("The versions of its parts.")]
    node_id: Annotated[str, f.about("Its node.")]
    tasks: Annotated[tuple[TaskView, ...], f.about("Its tasks.")]
    store: Annotated[StoreStatusView, f.about("How its store is.")]
    clock_skew_ms: Annotated[int, f.about("How far the calendar is ahead of the server's clock, in milliseconds.")]
    admission_level: Annotated[int, f.about("How far admission is closed; 0: open.")]
    queue_depth: Annotated[int | None, f.about("How many attempts are queued.")]
    delayed_jobs: Annotated[int | None, f.about("How many jobs wait for their time.")]
    parked_polls: Annotated[int, f.about("How many polls are parked.")]
    watched_sessions: Annotated[int, f.about("How many sessions are watched.")]
    waiters: Annotated[int, f.about("How many callers wait for a run to end.")]
    listeners: Annotated[int, f.about("How many callers listen to events.")]
    connections: Annotated[int, f.about("How many connections are open.")]
    retention: Annotated[RetentionView, f.about("For how long what is kept.")]
    limits: Annotated[dict[str, int], f.about("The limits in force, by name.")]
    modes: Annotated[tuple[ModeView, ...], f.about("The switches that were set.")]
    active_leases: Annotated[int, f.about("How many leases are live; null while the store does not answer.")] | None
    nodes: (
        Annotated[
            tuple[NodeView, ...], f.about("The nodes that have ever committed; null while the store does not answer.")
        ]
        | None
    )
    http: Annotated[
        dict[str, int],
        f.about("Requests under way, bytes held, what was refused or closed for want of room; empty before serving."),
    ]
