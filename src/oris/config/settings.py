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
        "full survives a power cut; normal is faster, but a power cut can lose acknowledged work",
    )
    disk_reserve_bytes: int | None = setting(
        None,
        whole(0, 1_099_511_627_776),
        "new jobs get 503 when less disk space than this is free; the same amount is kept in a file beside the "
        "database, so that running work can end on a full disk; not set: 67108864, or a twentieth of the disk if "
        "that is less; 0: no reserve",
        unit="bytes",
    )
    migrate: str = setting(
        "auto",
        choice("auto", "check"),
        "auto brings the schema up to date at the start; check refuses to start with an old schema",
    )

    api_auth_bearer_token: Secret | None = setting(
        None, secret(), "the token that callers send as Authorization: Bearer"
    )
    api_auth_bearer_token_next: Secret | None = setting(
        None, secret(), "a second bearer token, valid like the first, so that callers can move from one to the other"
    )
    api_auth_bearer_role: str = setting("admin", choice(*_ROLES), "the role of callers with a bearer token")
    api_auth_api_key: Secret | None = setting(None, secret(), "the key that callers send as X-Api-Key")
    api_auth_api_key_next: Secret | None = setting(
        None, secret(), "a second API key, valid like the first, so that callers can move from one to the other"
    )
    api_auth_api_key_role: str = setting("admin", choice(*_ROLES), "the role of callers with the API key")
    allow_insecure: bool = setting(
        "false",
        boolean(),
        "allow other machines to connect without a credential, and accept any host name; web pages of other "
        "origins are still refused",
    )

    tls_cert: Path | None = setting(
        None, file(), "the server's certificate, then those between it and its CA, in PEM; with tls_key it turns TLS on"
    )
    tls_key: Path | None = setting(None, file(), "the certificate's private key, in PEM, without a passphrase")
    tls_client_ca: Path | None = setting(
        None,
        file(),
        "CAs in PEM; a client must show a certificate signed by one of them; not set: clients need no certificate",
    )

    trusted_proxies: Networks | None = setting(
        None,
        networks(),
        "proxies whose X-Forwarded-For or Forwarded header is trusted for the client's address, in the log and "
        "for the limit on failed authentication; from other senders the header is ignored, or refused if the "
        "server has no credentials",
    )

    retention_days: int = setting(
        "30",
        whole(0, 36_500),
        "how long finished runs and absent workers are kept before they are deleted with everything that belongs "
        "to them; 0: for ever",
        unit="days",
    )
    audit_retention_days: int = setting(
        "0",
        whole(0, 36_500),
        "how long audit records are kept; 0: for ever; any other value needs audit_anchor_key",
        unit="days",
    )
    audit_anchor_key: Secret | None = setting(
        None,
        secret(),
        "the secret that signs what remains of an audit chain whose beginning was deleted; at least 32 "
        "characters; keep it, because `audit verify` needs it",
    )
    retention_hold: bool = setting("false", boolean(), "delete no run, worker or audit record, however old it is")

    log: LogLevels = setting("info", log_levels(), "which log lines are written, in general and for single modules")
    log_format: str = setting(
        "auto",
        choice("auto", "json", "console"),
        "auto writes for people on a terminal, otherwise one JSON object in each line",
    )
    metrics_addr: Address | None = setting(
        None, address(), "a second address for /metrics, /healthz and /readyz; the API's address serves them too"
    )

    fairness: str = setting(
        "round_robin",
        choice("round_robin", "fifo"),
        "order between tenants: they take turns, or the oldest job goes first",
    )
    max_active_leases_per_worker: int = setting(
        "100", whole(1, 100_000), "attempts that one worker may hold at a time", unit="leases"
    )
    max_active_leases_per_tenant: int = setting(
        "1000", whole(1, 1_000_000), "attempts of one tenant that may run at a time", unit="leases"
    )
    max_queue_depth: int = setting(
        "100000",
        whole(1, 100_000_000),
        "submits get 429 when so many jobs that can run now are waiting; jobs that wait for their time are not counted",
        unit="jobs",
    )
    max_tenant_queue_depth: int | None = setting(
        None, whole(1, 100_000_000), "the same for one tenant; not set: half of max_queue_depth", unit="jobs"
    )
    max_delayed_jobs: int | None = setting(
        None,
        whole(1, 1_000_000_000),
        "delayed submits get 429 when so many jobs wait for their time; not set: ten times max_queue_depth",
        unit="jobs",
    )
    max_tenant_delayed_jobs: int | None = setting(
        None, whole(1, 1_000_000_000), "the same for one tenant; not set: half of max_delayed_jobs", unit="jobs"
    )
    max_lease_losses: int = setting(
        "5", whole(1, 1000), "a run fails when it has lost so many leases in a row to silent workers", unit="losses"
    )
    lease_ttl_default_seconds: int = setting(
        "30", whole(1, 3600), "how long a lease lives if the worker does not ask for another time", unit="s"
    )

    disconnect_grace_ms: int = setting(
        "1000",
        whole(0, 60_000),
        "how long a watched worker may be silent after its connection broke, before its leases are over; 0 "
        "switches this off",
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
        "55000", whole(0, 600_000), "the longest wait_ms; keep it below the timeout of a proxy in front", unit="ms"
    )

    http_max_connections: int = setting(
        "4096",
        whole(1, 1_000_000),
        "open connections; when there are more, those that are idle for longest are closed; waiting callers and "
        "streams may use three quarters, all clients together seven eighths, and the rest is for workers and "
        "probes",
        unit="connections",
    )
    events_max_listeners: int = setting(
        "3000",
        whole(0, 1_000_000),
        "open streams of events; further ones get 503; never more than three quarters of the connections",
        unit="streams",
    )
    http_bodies_max_bytes: int | None = setting(
        None,
        whole(1024, 1_099_511_627_776),
        "memory for all request bodies together, each held until its request is committed; a quarter is for "
        "workers only; when it is full, requests get 503; not set: 256 MiB, or a quarter of the memory of the "
        "control group or the machine if that is less",
        unit="bytes",
    )
    http_answers_max_bytes: int | None = setting(
        None,
        whole(65_536, 1_099_511_627_776),
        "memory for all answers that clients have not read yet; a quarter is for workers only; when it is full, "
        "an answer waits 10 s for room and is then 503, or its connection is closed, and workers get no new work; "
        "workers whose credentials are bound to a tenant get none when the unread answers of the tenant are as "
        "much as is still free; not set: as for bodies",
        unit="bytes",
    )
    http_keep_alive_ms: int = setting(
        "75000",
        whole(100, 3_600_000),
        "how long an idle connection is kept; clients are told by Keep-Alive: timeout=; set it higher than in a "
        "proxy in front",
        unit="ms",
    )
    drain_limit_ms: int = setting(
        "30000", whole(100, 3_600_000), "how long an orderly stop may take before the process is ended hard", unit="ms"
    )
    inbox_max_commands: int = setting(
        "20000",
        whole(100, 10_000_000),
        "commands that may wait for a commit; further requests get 503",
        unit="commands",
    )
    inbox_max_bytes: int = setting(
        "67108864", whole(1_048_576, 68_719_476_736), "the same limit in bytes of request bodies", unit="bytes"
    )
    commit_max_commands: int = setting(
        "512", whole(1, 10_000), "the largest number of commands in one commit", unit="commands"
    )

    @property
    def has_credentials(self) -> bool:
        """Whether a caller can be told from a stranger by these settings alone; a stored key does as well."""
        return self.api_auth_bearer_token is not None or self.api_auth_api_key is not None


FIELDS = declared_fields(Settings)
ROTATION = {"api_auth_bearer_token_next": "api_auth_bearer_token", "api_auth_api_key_next": "api_auth_api_key"}
"""The second value of a static credential, and the first, without which it means nothing."""
