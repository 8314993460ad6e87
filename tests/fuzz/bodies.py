"""Bodies that are right, or nearly: one for each POST route, with mutations that know what JSON is."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any, TypeAlias

Json: TypeAlias = Any

LEASES = 12
"""Leases that are live when the fuzzer begins; a placeholder for each is as long as the id it stands for."""
THREADS = 20

_BYTES_MAX = 5 * 1024 * 1024
"""A little more than what any route takes."""
_TRAP = '"@@trap@@"'
_TRAPS = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1E+400",
    b"1e-999",
    b"-0",
    b"-0.0",
    b"01",
    b"1.",
    b"9" * 400,
    b"0." + b"1" * 400,
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"\x00"',
    b'"\\"',
    b"[" * 63 + b"]" * 63,
    b"[" * 70 + b"]" * 70,
    b'{"a":' * 65 + b"1" + b"}" * 65,
    b'{"a":1,"a":2}',
    b"[1,]",
    b"// x",
    b"null null",
)
_LARGE_TRAPS: tuple[Callable[[], bytes], ...] = (
    lambda: b"[" * 100_000 + b"]" * 100_000,
    lambda: b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(80_000)) + b"}",
    lambda: b'"' + b"x" * 1_100_000 + b'"',
    lambda: b'"' + b"\\u0041" * 50_000 + b'"',
    lambda: b'"' + b"\\\\" * 60_000 + b"\\u0000" + b'"',
)
_SCALARS: tuple[Json, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    100,
    101,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    0.5,
    -1.5,
    1e300,
    1e-300,
    "",
    "a",
    "..",
    ".",
    "a/b",
    "a b",
    "a\nb",
    "é😀",
    "\x7f",
    "\ud83d",
    "x" * 128,
    "x" * 256,
    "x" * 257,
    "x" * 70_000,
    "'; DROP TABLE runtime_jobs; --",
    "%00",
    "2030-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999-23:59",
    "0001-01-01T00:00:00+14:00",
    "completed",
    "failed",
    "started",
    [],
    {},
    [[]],
    [None],
    {"": ""},
)


def lease(number: int) -> str:
    """The placeholder of a live lease."""
    return f"lse_LEASE{number:03d}".ljust(56, "_")


def attempt(number: int) -> str:
    """The placeholder of that lease's attempt."""
    return f"att_LEASE{number:03d}".ljust(36, "_")


def run(number: int) -> str:
    """The placeholder of that attempt's run."""
    return f"run_LEASE{number:03d}".ljust(36, "_")


def worker() -> str:
    """The worker that holds the leases."""
    return "fuzz-worker"


def thread(number: int) -> str:
    """A thread that exists from the beginning."""
    return f"fuzz-thread-{number}"


def _policy(random: Random) -> Json:
    return {"strategy": random.choice(("fixed", "exponential")), "backoff_ms": 5, "max_retries": 2, "multiplier": 1.5}


def _job(random: Random) -> Json:
    job: Json = {
        "thread_id": random.choice((thread(random.randrange(THREADS)), f"new-{random.getrandbits(40):x}")),
        "input": {"pages": 3, "list": [1, 2.5, None, "é"]},
        "workflow": random.choice(("default", "other")),
        "priority": random.randrange(101),
        "metadata": {"a": "b"},
    }
    extra = {
        "idempotency_key": f"key-{random.randrange(50)}",
        "tenant_id": random.choice(("", "acme")),
        "timeout_policy": {"timeout_ms": 60_000, "on_timeout_status": "failed"},
        "retry_policy": _policy(random),
        "delay_ms": 1000,
    }
    return job | {name: extra[name] for name in extra if random.random() < 0.4}


def _submit(random: Random) -> Json:
    return _job(random) | {"wait_ms": random.choice((0, 0, 1))}


def _batch(random: Random) -> Json:
    return {"jobs": [_job(random) for _ in range(random.randrange(1, 5))]}


def _cancel(random: Random) -> Json:
    return {"reason": "no more", "mode": "terminate"}


def _poll(random: Random) -> Json:
    poll: Json = {
        "worker_id": random.choice((worker(), f"worker-{random.randrange(5)}")),
        "limit": random.randrange(4),
        "lease_ttl_seconds": random.choice((1, 30)),
    }
    extra = {"wait_ms": 1, "poll_id": f"poll-{random.randrange(20)}", "workflows": ["default"], "max_active_leases": 5}
    extra |= {"session": f"session-{random.randrange(9)}", "watch": True, "only_threads": ["thread-1", "thread-2"]}
    return poll | {name: extra[name] for name in extra if random.random() < 0.4}


def _held(random: Random) -> Json:
    number = random.randrange(LEASES)
    return {"attempt_id": attempt(number), "lease_id": lease(number)}


def _heartbeat(random: Random) -> Json:
    if random.random() < 0.5:
        return {"lease_id": lease(random.randrange(LEASES)), "lease_ttl_seconds": 30}
    named = [lease(random.randrange(LEASES)) for _ in range(random.randrange(4))]
    return {"lease_ids": named, "session": f"session-{random.randrange(9)}"}


def _step(random: Random) -> Json:
    status = random.choice(("started", "succeeded", "failed"))
    step: Json = {"action_id": f"step-{random.randrange(30)}", "status": status, "dedupe_token": "1"}
    if status == "succeeded":
        step |= {"output": {"n": 1}, "checkpoint": {"values": {"at": [1]}}}
    return step


def _report(random: Random) -> Json:
    if random.random() < 0.5:
        return _held(random) | _step(random)
    return _held(random) | {"steps": [_step(random) for _ in range(3)]}


def _end(random: Random) -> Json:
    status = random.choice(("completed", "failed", "cancelled"))
    end: Json = _held(random) | {"terminal_status": status}
    if status == "failed":
        return end | {"error": {"type": "E", "message": "m", "data": [1]}, "retry_policy": _policy(random)}
    return end | {"result": {"total": 42}}


def _ack(random: Random) -> Json:
    ack = _end(random) if random.random() < 0.6 else {"acks": [_end(random) for _ in range(2)]}
    return ack | ({"poll": {"limit": 1, "poll_id": "after"}} if random.random() < 0.3 else {})


def _release(random: Random) -> Json:
    return {"lease_ids": [lease(random.randrange(LEASES))], "delay_ms": 5}


def _wait(random: Random) -> Json:
    key = f"key-{random.randrange(9)}"
    if random.random() < 0.5:
        return {"kind": "time", "key": key, "after_ms": random.randrange(9)}
    return {"kind": "interrupt", **_question(random, key)}


def _question(random: Random, key: str) -> Json:
    question: Json = {"key": key, "value": {"may": "I"}, "on_reject": random.choice(("cancel", "resume"))}
    if random.random() < 0.5:
        question |= {"expires_in_ms": 5, "on_expire": "resume", "expire_value": [1]}
    return question


def _suspend(random: Random) -> Json:
    waits = [_wait(random) for _ in range(random.randrange(1, 4))]
    return _held(random) | {"waits": waits, "mode": random.choice(("all", "any")), "checkpoint": {"values": 1}}


def _interrupt(random: Random) -> Json:
    return _held(random) | {"interrupts": [_question(random, f"key-{n}") for n in range(random.randrange(1, 3))]}


def _answer(random: Random) -> Json:
    return {"value": random.choice((1, "yes", {"a": [None]}))}


def _reject(random: Random) -> Json:
    return {"reason": "no"} if random.random() < 0.5 else {}


def _replay(random: Random) -> Json:
    extra = {"checkpoint_id": f"ckp_{'0' * 32}_{random.randrange(9)}", "run_id": run(random.randrange(LEASES))}
    return {name: extra[name] for name in extra if random.random() < 0.3}


def _nothing(random: Random) -> Json:
    return {}


def _clear_quarantine(random: Random) -> Json:
    return {} if random.random() < 0.5 else {"tenant_id": "acme"}


def _create_key(random: Random) -> Json:
    key: Json = {"role": random.choice(("admin", "operator", "client", "worker"))}
    extra = {"tenant_id": "acme", "expires_at": "2999-01-31T00:00:00Z"}
    return key | {name: extra[name] for name in extra if random.random() < 0.5}


def _revoke_key(random: Random) -> Json:
    return {}


def _mode(random: Random) -> Json:
    """Mostly on: what is switched off would hide the rest."""
    node = {} if random.random() < 0.5 else {"node": f"node-{random.randrange(3)}"}
    return {"submit": random.random() < 0.9, "dispatch": random.random() < 0.9, "reason": "upgrade"} | node


VALID: dict[str, Callable[[Random], Json]] = {
    "/v1/jobs": _submit,
    "/v1/jobs/run": _submit,
    "/v1/jobs/batch": _batch,
    "/v1/jobs/{thread_id}/cancel": _cancel,
    "/v1/workers/poll": _poll,
    "/v1/workers/{worker_id}/heartbeat": _heartbeat,
    "/v1/workers/{worker_id}/extend-lease": _heartbeat,
    "/v1/workers/{worker_id}/report-step": _report,
    "/v1/workers/{worker_id}/ack": _ack,
    "/v1/workers/{worker_id}/release": _release,
    "/v1/workers/{worker_id}/clear-quarantine": _clear_quarantine,
    "/v1/workflows/{workflow}/clear-hold": _clear_quarantine,
    "/v1/workers/{worker_id}/suspend": _suspend,
    "/v1/workers/{worker_id}/interrupt": _interrupt,
    "/v1/jobs/{thread_id}/resume": _answer,
    "/v1/jobs/{thread_id}/replay": _replay,
    "/v1/dlq/{attempt_id}/replay": _nothing,
    "/v1/interrupts/{interrupt_id}/resume": _answer,
    "/v1/interrupts/{interrupt_id}/reject": _reject,
    "/v1/api-keys": _create_key,
    "/v1/api-keys/{key_id}/revoke": _revoke_key,
    "/v1/admin/mode": _mode,
}
"""A valid body for each POST route; a test sees to it that none is missing."""


def body(random: Random, path: str) -> bytes:
    """The bytes of a body for a route: valid one time in four, else mutated in its structure, its text, or both."""
    value = VALID[path](random)
    way = random.randrange(8)
    if way <= 5:
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            value = _mutated(random, value)
    text = json.dumps(
        value, ensure_ascii=random.random() < 0.5, separators=random.choice(((",", ":"), (" , ", "\t: ")))
    )
    trap = _trap(random)
    times = 1 if len(trap) > 1000 else 1000
    data = text.encode("utf-8", "surrogatepass").replace(_TRAP.encode(), trap, times)[:_BYTES_MAX]
    return byte_mutated(random, data) if way == 1 else data


def _trap(random: Random) -> bytes:
    return random.choice(_LARGE_TRAPS)() if random.random() < 0.02 else random.choice(_TRAPS)


def _mutated(random: Random, value: Json) -> Json:
    """The value with one thing changed, anywhere in it."""
    top = {"top": deepcopy(value)}
    places = list(_places(top))
    holder, key = random.choice(places)
    way = random.randrange(9)
    if way <= 2:
        holder[key] = deepcopy(random.choice(_SCALARS))
    elif way <= 4:
        holder[key] = _TRAP[1:-1]
    elif way == 5 and isinstance(holder, dict) and holder is not top:
        del holder[key]
    elif way == 6 and isinstance(holder, dict) and holder is not top:
        holder[random.choice(("unknown", "", "tenant_id", "\x00", "thread_id", "x" * 5000))] = 1
    elif way == 7:
        holder[key] = [holder[key]] * random.choice((1, 2, 101, 1001))
    else:
        other = random.choice(places)
        holder[key] = deepcopy(other[0][other[1]])
    return top["top"]


def _places(holder: Json) -> Any:
    """Every (container, key) in a value."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def byte_mutated(random: Random, data: bytes) -> bytes:
    """The bytes with a few of them flipped, dropped, doubled, moved or made up."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        at = random.randrange(len(changed) + 1)
        to = min(len(changed), at + random.choice((1, 1, 2, 8, 64)))
        way = random.randrange(5)
        if way == 0:
            changed[at:to] = random.randbytes(to - at)
        elif way == 1:
            del changed[at:to]
        elif way == 2:
            changed[at:at] = changed[at:to] * random.choice((1, 2, 50))
        elif way == 3:
            changed[at:at] = random.choice(
                (b"\r\n", b"\n", b"\r", b"\0", b"\xff", b" ", b'"', b"{", b"]", b":", b",", b"%")
            )
        elif changed:
            changed[at % len(changed)] ^= 1 << random.randrange(8)
    return bytes(changed)
