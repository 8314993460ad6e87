"""What the machine lets the server have: open files and memory, and the bounds of the HTTP front that follow."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass

from oris.api.limits import HttpLimits
from oris.config.settings import Settings
from oris.observability.logs import Logs
from oris.server.memory import bodies_default_bytes, memory_limit_bytes

RESERVED_FILES = 128
"""Files beside the API's connections: database, log, listeners, the connections of the metrics address."""
METRICS_CONNECTIONS_MAX = 64


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is."""

    files: int
    """How many files this process may have open."""
    memory_bytes: int | None
    """None: unknown."""


def claim_machine() -> Machine:
    """Raise the limit on open files as far as this process may, and look what there is.

    The low limit that most systems start programs with is for those that use `select`; Trio does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems call a limit unlimited that is not: there the soft one stays.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Machine(2**31 if files == resource.RLIM_INFINITY else files, memory_limit_bytes())


def http_limits(settings: Settings, machine: Machine) -> HttpLimits:
    """The bounds of requests and connections: the settings, as far as the machine carries them."""
    bodies = settings.http_bodies_max_bytes
    if bodies is None:
        bodies = bodies_default_bytes(machine.memory_bytes, settings.body_max_bytes)
    answers = settings.http_answers_max_bytes
    if answers is None:
        answers = bodies_default_bytes(machine.memory_bytes, settings.body_max_bytes)
    return HttpLimits(
        connections_max=min(settings.http_max_connections, max(1, machine.files - RESERVED_FILES)),
        bodies_in_flight_max_bytes=bodies,
        answers_in_flight_max_bytes=answers,
        json_depth_max=settings.json_max_depth,
    )


def tell_limits(settings: Settings, machine: Machine, limits: HttpLimits, logs: Logs) -> None:
    """One line about what was found; a warning when fewer connections fit than were asked for."""
    log = logs.get("oris.server.limits")
    log.info(
        "limits",
        open_files=machine.files,
        memory_bytes=machine.memory_bytes,
        connections_max=limits.connections_max,
        bodies_max_bytes=limits.bodies_in_flight_max_bytes,
        answers_max_bytes=limits.answers_in_flight_max_bytes,
    )
    if limits.connections_max < settings.http_max_connections:
        log.warning(
            "too_few_open_files",
            open_files=machine.files,
            reserved=RESERVED_FILES,
            http_max_connections=settings.http_max_connections,
            connections_max=limits.connections_max,
        )
