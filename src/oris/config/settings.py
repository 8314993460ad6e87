"""Every setting of the server, in one table. Reading, checking, printing and documentation come from here."""

# `setting` declares a field, as `dataclasses.field` does.
# ruff: noqa: RUF009

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oris.config.field import declared_fields, setting
from oris.config.kinds import address, boolean, choice, database_file, file, log_levels, networks, secret, whole

if TYPE_CHECKING:
    from pathlib import Path

    from oris.config.levels import LogLevels
    from oris.config.networks import Networks
    from oris.config.values import Address, Secret

_ROLES = ("admin", "operator", "client", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided. `load` builds and checks it; built by hand it takes the defaults, unchecked."""

    server_addr: Address = setting("127.0.0.1:8080", address(), "where the HTTP API listens")
    runtime_backend: str = setting("sqlite", choice("sqlite", not_yet="postgres"), "the database that holds everything")
    sqlite_db: Path = setting(
        "./oris_runtime.db",
        database_file(),
        "the SQLite database file; made if missing, in a directory that exists",
    )
    sqlite_synchronous: str = setting(
        "full",
        choice("full", "normal"),
        "full survives a power cut; normal is faster, and a power cut may take acknowledged work",
    )
    disk_reserve_bytes: int | None = setting(
        None,
        whole(0, 1_099_511_627_776),
        "free disk below which new jobs get 503; as much again is kept in a file beside the database, so that running "
        "work can end on a full disk; unset: 67108864, or a twentieth of the disk if that is less; 0: none",
        unit="bytes",
    )
    migrate: str = setting(
        "auto", choice("auto", "check"), "auto brings the schema up to date at the start; check refuses an old one"
    )

    api_auth_bearer_token: Secret | None = setting(None, secret(), "the token callers send as Authorization: Bearer")
    api_auth_bearer_token_next: Secret | None = setting(
        None, secret(), "a second bearer token that is as good as the first: callers move from one to the other"
    )
    api_auth_bearer_role: str = setting("admin", choice(*_ROLES), "what the bearer tokens allow")
    api_auth_api_key: Secret | None = setting(None, secret(), "the key callers send as X-Api-Key")
    api_auth_api_key_next: Secret | None = setting(
        None, secret(), "a second API key that is as good as the first, for the same end"
    )
    api_auth_api_key_role: str = setting("admin", choice(*_ROLES), "what the API keys allow")
    allow_insecure: bool = setting(
        "false",
        boolean(),
        "allow other machines to connect although there is no credential, and answer to any host name; web pages of "
        "other origins are refused all the same",
    )

    tls_cert: Path | None = setting(
        None, file(), "the server's certificate and those between it and its CA, in PEM; with tls_key it turns TLS on"
    )
    tls_key: Path | None = setting(None, file(), "the certificate's private key, in PEM, without a passphrase")
    tls_client_ca: Path | None = setting(
        None, file(), "the CAs, in PEM, one of which must have signed a client's certificate; unset: none is asked for"
    )

    trusted_proxies: Networks | None = setting(
        None,
        networks(),
        "proxies whose X-Forwarded-For or Forwarded tells the client's address, in the log and for the limit on failed "
        "authentication; from others it is ignored, and without credentials refused",
    )

    retention_days: int = setting(
        "30",
        whole(0, 36_500),
        "how long finished runs, and workers that are gone, are kept; then they are deleted with all that belongs to "
        "them; 0: for ever",
        unit="days",
    )
    audit_retention_days: int = setting(
        "0", whole(0, 36_500), "how long audit records are kept; 0: for ever; more needs audit_anchor_key", unit="days"
    )
    audit_anchor_key: Secret | None = setting(
        None,
        secret(),
        "signs what stays of an audit chain whose beginning was deleted; at least 32 characters, and not to be lost: "
        "`audit verify` needs it",
    )
    retention_hold: bool = setting("false", boolean(), "delete nothing, however old: runs, workers, audit records")

    log: LogLevels = setting("info", log_levels(), "which log lines are written, in general and per module")
    log_format: str = setting(
        "auto", choice("auto", "json", "console"), "auto is console on a terminal, else one JSON object a line"
    )
    metrics_addr: Address | None = setting(
        None, address(), "a second address that serves /metrics alone; always served on the API's too"
    )

    fairness: str = setting(
        "round_robin",
        choice("round_robin", "fifo"),
        "between tenants: take turns, or strictly the oldest first",
    )
    max_active_leases_per_worker: int = setting(
        "100", whole(1, 100_000), "attempts one worker may hold at a time", unit="leases"
    )
    max_active_leases_per_tenant: int = setting(
        "1000", whole(1, 1_000_000), "attempts of one tenant that may run at a time", unit="leases"
    )
    max_queue_depth: int = setting(
        "100000",
        whole(1, 100_000_000),
        "jobs that could run now and wait, beyond which submits get 429; jobs that wait for their time are not counted",
        unit="jobs",
    )
    max_tenant_queue_depth: int | None = setting(
        None, whole(1, 100_000_000), "the same for one tenant; unset: half of max_queue_depth", unit="jobs"
    )
    max_delayed_jobs: int | None = setting(
        None,
        whole(1, 1_000_000_000),
        "jobs that wait for their time, beyond which further delayed submits get 429; unset: ten times max_queue_depth",
        unit="jobs",
    )
    max_tenant_delayed_jobs: int | None = setting(
        None, whole(1, 1_000_000_000), "the same for one tenant; unset: half of max_delayed_jobs", unit="jobs"
    )
    max_lease_losses: int = setting(
        "5", whole(1, 1000), "leases in a row a run may lose to silent workers before it fails", unit="losses"
    )
    lease_ttl_default_seconds: int = setting(
        "30", whole(1, 3600), "how long a lease lives when the worker asks for nothing else", unit="s"
    )

    disconnect_grace_ms: int = setting(
        "1000",
        whole(0, 60_000),
        "how long a watched worker may be silent once its connection broke; then its leases are over; 0 is off",
        unit="ms",
    )

    body_max_bytes: int = setting("4194304", whole(1024, 268_435_456), "the largest request body", unit="bytes")
    payload_max_bytes: int = setting(
        "1048576",
        whole(1024, 268_435_456),
        "the largest single input, step output, result or checkpoint",
        unit="bytes",
    )
    json_max_depth: int = setting("64", whole(4, 256), "how deep JSON may be nested", unit="levels")
    batch_max: int = setting("1000", whole(1, 1000), "jobs in one batch submit", unit="jobs")
    wait_max_ms: int = setting(
        "55000", whole(0, 600_000), "the longest wait_ms; keep it under the proxy's timeout", unit="ms"
    )

    http_max_connections: int = setting(
        "4096",
        whole(1, 1_000_000),
        "open connections; beyond, the longest idle are closed first; waiting callers and streams get three quarters, "
        "all clients together seven eighths, the rest is for workers and probes",
        unit="connections",
    )
    events_max_listeners: int = setting(
        "3000",
        whole(0, 1_000_000),
        "open streams of events; beyond, 503; at most three quarters of the connections, whatever is set",
        unit="streams",
    )
    http_bodies_max_bytes: int | None = setting(
        None,
        whole(1024, 1_099_511_627_776),
        "request bodies held at one time, all together, each until what it asks for is committed; a quarter is for "
        "workers alone; beyond, 503; not set: the lower of 256 MiB and a quarter of "
        "the memory that the control group or the machine allows",
        unit="bytes",
    )
    http_answers_max_bytes: int | None = setting(
        None,
        whole(65_536, 1_099_511_627_776),
        "answers held at one time for clients that have not read them yet, all together; a quarter is for workers "
        "alone; beyond, answers wait 10 s for room, then 503 or the connection is cut, and workers are given no new "
        "work; of a tenant whose credentials are bound to it, workers are given none once its own are as much as is "
        "still free; not set: as for bodies",
        unit="bytes",
    )
    http_keep_alive_ms: int = setting(
        "75000",
        whole(100, 3_600_000),
        "how long an idle connection is kept, as clients are told by Keep-Alive: timeout=; more than a proxy in front "
        "keeps its own",
        unit="ms",
    )
    drain_limit_ms: int = setting(
        "30000", whole(100, 3_600_000), "how long an orderly stop may take before the process ends hard", unit="ms"
    )
    inbox_max_commands: int = setting(
        "20000", whole(100, 10_000_000), "commands that may wait to be committed; beyond, 503", unit="commands"
    )
    inbox_max_bytes: int = setting(
        "67108864", whole(1_048_576, 68_719_476_736), "the same in bytes of their bodies", unit="bytes"
    )
    commit_max_commands: int = setting("512", whole(1, 10_000), "commands in one commit", unit="commands")

    @property
    def has_credentials(self) -> bool:
        """Whether a caller can be told from a stranger by these settings alone; a stored key does as well."""
        return self.api_auth_bearer_token is not None or self.api_auth_api_key is not None


FIELDS = declared_fields(Settings)
ROTATION = {"api_auth_bearer_token_next": "api_auth_bearer_token", "api_auth_api_key_next": "api_auth_api_key"}
"""The second value of a static credential, and the first, without which it means nothing."""
