"""Requests and answers for those who run the server."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from oris.wire import fields as f
from oris.wire.names import Name, Text


class ModeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which switches are on or off; without a node for the whole cluster."""

    submit: Annotated[bool, f.about("Whether new jobs are accepted.")]
    dispatch: Annotated[bool, f.about("Whether polls get work.")]
    reason: Annotated[Text, f.about("Why.")] | None = None
    node: Annotated[Name, f.about("The node that the switches are for; null: the whole cluster.")] | None = None


class ModeView(Struct, frozen=True):
    """The switches of one node, or with `node` null those of the whole cluster."""

    node: Annotated[str, f.about("The node that the switches are for; null: the whole cluster.")] | None
    submit: Annotated[bool, f.about("Whether new jobs are accepted.")]
    dispatch: Annotated[bool, f.about("Whether polls get work.")]
    reason: Annotated[str, f.about("Why.")] | None
    set_by: Annotated[str, f.about("Who set the switches.")]
    set_at: Annotated[str, f.about("When they were set.")]


class NodeView(Struct, frozen=True):
    """A node that has committed at least once."""

    node: Annotated[str, f.about("The name of the node.")]
    last_commit_at: Annotated[str, f.about("When it last committed.")]


class TaskView(Struct, frozen=True):
    """One task of the tree."""

    name: Annotated[str, f.about("The name of the task.")]
    state: Annotated[str, f.about("The state of the task.")]
    restarts: Annotated[int, f.about("How often the task was restarted.")]
    last_error: Annotated[str, f.about("The last error that ended the task; null: there was none.")] | None
    since_beat_ms: (
        Annotated[int, f.about("Time since the last sign of progress, in milliseconds; null: the task gives none.")]
        | None
    )


class SpaceView(Struct, frozen=True):
    """The disk of the store: free space, size of the write-ahead log, size of the reserve and what is left of it."""

    free_bytes: Annotated[int, f.about("Free space on the disk.")]
    wal_bytes: Annotated[int, f.about("Size of the write-ahead log.")]
    reserve_bytes: Annotated[int, f.about("How large the reserve should be.")]
    held_bytes: Annotated[int, f.about("How much of the reserve is left.")]
    low: Annotated[bool, f.about("True: the disk is nearly full, and new jobs are refused.")]


class StoreStatusView(Struct, frozen=True):
    """The state of the store."""

    state: Annotated[str, f.about("The state of the store.")]
    failure: Annotated[str, f.about("The error of the store; null: there is none.")] | None
    disk: Annotated[str, f.about("The problem of the disk; null: there is none.")] | None
    space: Annotated[SpaceView, f.about("The space on the disk; null: unknown.")] | None


class RetentionView(Struct, frozen=True):
    """How many days data is kept (0: for ever), and whether an operator has stopped all deletion."""

    days: Annotated[int, f.about("How many days finished runs are kept; 0: for ever.")]
    audit_days: Annotated[int, f.about("How many days audit records are kept; 0: for ever.")]
    hold: Annotated[bool, f.about("True: the setting `retention_hold` stops all deletion.")]


class StatusView(Struct, frozen=True):
    """The status page for operators. Values that only the store knows are null while it does not answer."""

    mode: Annotated[str, f.about("The mode of the server.")]
    reason: Annotated[str, f.about("Why the server is not serving; null: it is.")] | None
    versions: Annotated[dict[str, str], f.about("The versions of Oris, Python and SQLite, and of the schema.")]
    node_id: Annotated[str, f.about("The name of this node.")]
    tasks: Annotated[tuple[TaskView, ...], f.about("The background tasks.")]
    store: Annotated[StoreStatusView, f.about("The state of the store.")]
    clock_skew_ms: Annotated[int, f.about("How far the calendar is ahead of the server's clock, in milliseconds.")]
    admission_level: Annotated[
        int,
        f.about(
            "Whether new jobs are accepted. 0: yes; 1: overloaded; 2: draining or switched off; 3: disk nearly full."
        ),
    ]
    queue_depth: Annotated[
        int | None,
        f.about("How many jobs can run now and wait for a worker; null while the store does not answer."),
    ]
    delayed_jobs: Annotated[
        int | None, f.about("How many jobs wait for their time; null while the store does not answer.")
    ]
    parked_polls: Annotated[int, f.about("How many polls are parked.")]
    watched_sessions: Annotated[int, f.about("How many sessions are watched.")]
    waiters: Annotated[int, f.about("How many callers wait for a run to end.")]
    listeners: Annotated[int, f.about("How many callers listen to events.")]
    connections: Annotated[int, f.about("How many connections are open.")]
    retention: Annotated[RetentionView, f.about("How long data is kept.")]
    limits: Annotated[dict[str, int], f.about("The limits in force, by name.")]
    modes: Annotated[tuple[ModeView, ...], f.about("All switches that operators have set.")]
    active_leases: Annotated[int, f.about("How many leases are live; null while the store does not answer.")] | None
    nodes: (
        Annotated[tuple[NodeView, ...], f.about("All nodes that have committed; null while the store does not answer.")]
        | None
    )
    http: Annotated[
        dict[str, int],
        f.about("Requests in progress, bytes held, and what was refused or closed at a limit; empty before serving."),
    ]
