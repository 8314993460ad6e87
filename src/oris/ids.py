"""Ids: what they are made of, and how one is found from another.

A *seed* is a 128-bit number: 48 bits of milliseconds, 20 bits of sequence, 44 random bits, 16 bits left zero
for the ids that one unit of commands needs. Seeds of one node rise strictly, so a run's id is also its number
in the order of acceptance (the last part of the dispatch order).

A run and its attempt share their digits, and a lease's id begins with them: whoever names a lease or an attempt
has named the run, and no index is needed for it. The digits that follow make a lease's id unguessable.
"""

from __future__ import annotations

from typing import NewType, Protocol

TenantId = NewType("TenantId", str)
ThreadId = NewType("ThreadId", str)
WorkerId = NewType("WorkerId", str)
RunId = NewType("RunId", str)
AttemptId = NewType("AttemptId", str)
LeaseId = NewType("LeaseId", str)
CheckpointId = NewType("CheckpointId", str)
WaitId = NewType("WaitId", str)
KeyId = NewType("KeyId", str)
NodeId = NewType("NodeId", str)
"""One start of a node: `name#start`."""
JobKey = NewType("JobKey", str)
"""`tenant/thread`; neither part may contain a slash."""
WorkerKey = NewType("WorkerKey", str)
"""`tenant/worker`."""
IdempotencyKey = NewType("IdempotencyKey", str)
"""`tenant/key`; the key itself may contain anything."""

NO_TENANT = TenantId("")
KEY_ID = r"key_[0-9a-f]{32}"
"""What the ids of API keys look like."""

_RUN_DIGITS = 32
_FENCE_DIGITS = 12
_SALT_DIGITS = 8
_LEASE_LENGTH = 4 + _RUN_DIGITS + _FENCE_DIGITS + _SALT_DIGITS
_HEX = frozenset("0123456789abcdef")


def node_id(name: str, start: int) -> NodeId:
    """The id of one start of a node; `start` is 32 random bits."""
    return NodeId(f"{name}#{start & 0xFFFFFFFF:08x}")


def name_of_node(node: NodeId) -> str:
    """The node's name, which stays over its restarts."""
    return node.rpartition("#")[0] or node


def job_key(tenant_id: TenantId, thread_id: ThreadId) -> JobKey:
    """The key of a thread's row."""
    return JobKey(f"{tenant_id}/{thread_id}")


def worker_key(tenant_id: TenantId, worker_id: WorkerId) -> WorkerKey:
    """The key of a worker's row; the tenant is that of the credential, `""` for a worker of all tenants."""
    return WorkerKey(f"{tenant_id}/{worker_id}")


def idempotency_key(tenant_id: TenantId, key: str) -> IdempotencyKey:
    """The key under which a submit is remembered."""
    return IdempotencyKey(f"{tenant_id}/{key}")


def tenant_of(key: JobKey | WorkerKey) -> TenantId:
    """The tenant of a thread's or a worker's row."""
    return TenantId(key.partition("/")[0])


def worker_of(key: WorkerKey) -> WorkerId:
    """The worker's own name out of its key."""
    return WorkerId(key.partition("/")[2])


def run_id(number: int) -> RunId:
    """The id of the run with this 128-bit number."""
    return RunId(f"run_{number:032x}")


def attempt_of(run: RunId) -> AttemptId:
    """The attempt that executes a run; it stays over retries and losses."""
    return AttemptId("att_" + run[4:])


def run_of(attempt: str) -> RunId | None:
    """The run of an attempt; None when this cannot be an attempt's id."""
    digits = attempt[4:]
    if attempt[:4] != "att_" or len(digits) != _RUN_DIGITS or not _HEX.issuperset(digits):
        return None
    return RunId("run_" + digits)


def lease_id(run: RunId, fence: int, salt: int) -> LeaseId:
    """The id of the lease with this fence; `salt` is 32 random bits."""
    return LeaseId(f"lse_{run[4:]}{fence:012x}{salt & 0xFFFFFFFF:08x}")


def run_of_lease(lease: str) -> RunId | None:
    """The run a lease was granted for; None when this cannot be a lease's id."""
    digits = lease[4:]
    if lease[:4] != "lse_" or len(lease) != _LEASE_LENGTH or not _HEX.issuperset(digits):
        return None
    return RunId("run_" + digits[:_RUN_DIGITS])


def checkpoint_id(run: RunId, seq: int) -> CheckpointId:
    """The id of the checkpoint that the event `seq` of this run's thread saved."""
    return CheckpointId(f"ckp_{run[4:]}_{seq}")


def checkpoint_of(checkpoint: str) -> tuple[RunId, int] | None:
    """The run that saved a checkpoint, and the event that did; None when this cannot be a checkpoint's id."""
    prefix, _, rest = checkpoint.partition("_")
    digits, _, seq = rest.partition("_")
    counts = seq.isascii() and seq.isdigit() and seq[0] != "0" and len(seq) < 19
    usable = len(digits) == _RUN_DIGITS and _HEX.issuperset(digits) and counts
    return (RunId("run_" + digits), int(seq)) if prefix == "ckp" and usable else None


def wait_id(run: RunId, kind: str, number: int) -> WaitId:
    """The id of the wait that a run has raised as its `number`th; those for people have a word of their own.

    The number is padded, so that the ids of waits that were raised at one time have the order of the waits.
    """
    return WaitId(f"{'int' if kind == 'interrupt' else 'wai'}_{run[4:]}_{number:06}")


def number_of_wait(wait: WaitId) -> int:
    """As which of its run's waits it was raised."""
    return int(wait.rpartition("_")[2])


def run_of_wait(wait: str) -> RunId | None:
    """The run that a wait belongs to; None when this cannot be a wait's id."""
    prefix, _, rest = wait.partition("_")
    digits, _, number = rest.partition("_")
    usable = len(digits) == _RUN_DIGITS and _HEX.issuperset(digits) and number.isascii() and number.isdigit()
    return RunId("run_" + digits) if prefix in ("int", "wai") and usable and len(number) < 10 else None


class RandomBits(Protocol):
    """The part of `random.Random` that ids and jitter need; the simulator hands in a seeded one."""

    def getrandbits(self, k: int, /) -> int: ...


class SeedSource:
    """Hands out seeds that rise strictly, even when the clock does not."""

    def __init__(self, random: RandomBits) -> None:
        self._random = random
        self._ms = 0
        self._sequence = 0

    def next(self, now_ms: int) -> int:
        """A fresh seed; its lowest 16 bits are zero."""
        if now_ms > self._ms:
            self._ms, self._sequence = now_ms, 0
        else:
            self._sequence += 1
            if self._sequence >> 20:
                self._ms, self._sequence = self._ms + 1, 0
        return (((self._ms << 20 | self._sequence) << 44) | self._random.getrandbits(44)) << 16
