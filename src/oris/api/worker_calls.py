"""Which worker a call comes from. A worker's name stands in the path, or in the body of its poll."""

from __future__ import annotations

import re
from typing import Any, Protocol

from msgspec import Struct

from oris.api.http import Context
from oris.errors import ApiError, ErrorCode
from oris.ids import NO_TENANT, TenantId, WorkerId, WorkerKey, worker_key
from oris.wire.names import NAME

_NAME = re.compile(NAME)


class HearsWorkers(Protocol):
    """What the dispatcher asks of the services of a server: to be told which workers are alive."""

    def heard(self, worker: WorkerKey, session: str | None) -> None:
        """A worker has called, as this session if it said so. Neither blocks nor raises."""


def note_worker(call: Context[Any], body: Struct | None) -> None:
    """Tell the services that the worker which calls was heard of; of a call that names no worker nothing is told.

    A session counts where the body names one itself. Raises 404 for a name that no worker can have.
    """
    worker_id: str | None = getattr(body, "worker_id", None)
    if worker_id is not None:
        worker = worker_of_caller(call, worker_id)
    elif "worker_id" in call.path_params:
        worker = worker_in_path(call)
    else:
        return
    services: HearsWorkers = call.services
    services.heard(worker, getattr(body, "session", None))


def worker_in_path(call: Context[Any]) -> WorkerKey:
    """The worker that the path names, in the credential's tenant. Raises 404 for a name that no worker can have."""
    name = call.path_params["worker_id"]
    if not _NAME.match(name):
        raise ApiError(ErrorCode.NOT_FOUND, "no such worker")
    return worker_of_caller(call, name)


def worker_of_caller(call: Context[Any], worker_id: str) -> WorkerKey:
    """A worker of this name, in the credential's tenant."""
    bound = call.caller.tenant_id
    return worker_key(NO_TENANT if bound is None else TenantId(bound), WorkerId(worker_id))
