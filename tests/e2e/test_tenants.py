"""The whole table (I18): every route, asked by every role: bound to no tenant, to the tenant whose thing it is, to
another one; and by strangers. To a key that is bound to a tenant the things of others do not exist: what it is answered
about them is, to the letter, what it is answered about nothing.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import pytest

from oris.api.routes import route_table

from .server_process import ServerProcess, data_of, error_of, serving
from .test_roles import EVERYBODY, MAY, PUBLIC

HOME, ABROAD = "acme", "globex"
ADMIN = {"authorization": "Bearer static-of-admin"}
ROLES = sorted(EVERYBODY)
Body = dict[str, Any]
Figure = Callable[[str, object], None]


@dataclass(frozen=True)
class Things:
    """What there is of one tenant, or names of what there is nowhere."""

    thread: str
    run: str
    attempt: str
    lease: str
    worker: str
    dead: str
    """The attempt of a run that has failed."""
    key: str
    checkpoint: str
    interrupt: str

    @property
    def named(self) -> dict[str, str]:
        """The parameters of paths."""
        return {
            "thread_id": self.thread,
            "run_id": self.run,
            "worker_id": self.worker,
            "workflow": self.thread[1:],
            "attempt_id": self.attempt,
            "key_id": self.key,
            "checkpoint_id": self.checkpoint,
            "interrupt_id": self.interrupt,
        }

    def instead(self, path: str) -> dict[str, str]:
        """Where a route is not about the running one: the run that is over, or the one that waits for an answer."""
        if "dlq" in path:
            return {"attempt_id": self.dead}
        words = {"events": "dead", "replay": "dead", "resume": "asks"}
        other = words.get(path.rpartition("/")[2]) if path.startswith("/v1/jobs/{thread_id}") else None
        return {} if other is None else {"thread_id": other + self.thread[1:]}


NOTHING = Things(
    thread="nothing",
    run="run_" + "0" * 32,
    attempt="att_" + "0" * 32,
    lease="lse_" + "0" * 52,
    worker="nobody",
    dead="att_" + "0" * 32,
    key="key_" + "0" * 32,
    checkpoint="ckp_" + "0" * 32 + "_1",
    interrupt="int_" + "0" * 32 + "_1",
)


@dataclass
class Request:
    """What is sent to a route, and how it is answered to a key of another tenant."""

    foreign: int
    """404 for what is named, 200 for a list without it; 409 where it does not matter whose lease it is not."""
    body: Callable[[Things], Body] | None = None
    query: Callable[[Things], Body] = field(default=lambda things: {})
    whole_server: bool = False
    """It is for no key that is bound, whatever its role."""
    again: tuple[int, ...] = ()
    """What else who may is answered, when somebody was before him."""


def under_lease(things: Things) -> Body:
    return {"attempt_id": things.attempt, "lease_id": things.lease}


def job(things: Things) -> Body:
    return {"thread_id": things.thread + "-more", "idempotency_key": things.thread, "tenant_id": HOME}


STEP = {"action_id": "a", "status": "succeeded", "dedupe_token": "t"}
ASKED = {"key": "q", "value": "may I?"}
BY_NAME = Request(404)
LIST = Request(200)
REQUESTS: dict[str, Request] = {
    "GET /v1/capabilities": Request(200),
    "GET /v1/admin/status": Request(403, whole_server=True),
    "POST /v1/admin/mode": Request(403, lambda things: {"submit": True, "dispatch": True}, whole_server=True),
    "POST /v1/jobs": Request(404, job),
    "POST /v1/jobs/run": Request(404, job),
    "POST /v1/jobs/batch": Request(200, lambda things: {"jobs": [job(things)]}),
    "GET /v1/jobs": LIST,
    "GET /v1/jobs/{thread_id}": BY_NAME,
    "GET /v1/jobs/{thread_id}/runs": BY_NAME,
    "GET /v1/jobs/{thread_id}/result": BY_NAME,
    "GET /v1/jobs/{thread_id}/explain": BY_NAME,
    "GET /v1/jobs/{thread_id}/timeline": BY_NAME,
    "GET /v1/jobs/{thread_id}/timeline/export": BY_NAME,
    "GET /v1/jobs/{thread_id}/verify": BY_NAME,
    "GET /v1/jobs/{thread_id}/events": BY_NAME,
    "GET /v1/jobs/{thread_id}/detail": BY_NAME,
    "GET /v1/jobs/{thread_id}/history": BY_NAME,
    "GET /v1/jobs/{thread_id}/checkpoints/{checkpoint_id}": BY_NAME,
    "POST /v1/jobs/{thread_id}/cancel": Request(404, lambda things: {}),
    "POST /v1/jobs/{thread_id}/resume": Request(404, lambda things: {"value": 1}),
    "POST /v1/jobs/{thread_id}/replay": Request(404, lambda things: {}, again=(409,)),
    "GET /v1/interrupts": LIST,
    "GET /v1/interrupts/{interrupt_id}": BY_NAME,
    "POST /v1/interrupts/{interrupt_id}/resume": Request(404, lambda things: {"value": 1}),
    "POST /v1/interrupts/{interrupt_id}/reject": Request(404, lambda things: {}),
    "GET /v1/runs/{run_id}": BY_NAME,
    "POST /v1/workers/poll": Request(200, lambda things: {"worker_id": things.worker, "poll_id": things.thread}),
    "POST /v1/workers/{worker_id}/heartbeat": Request(404, lambda things: {"lease_id": things.lease}),
    "POST /v1/workers/{worker_id}/extend-lease": Request(404, lambda things: {"lease_id": things.lease}),
    "POST /v1/workers/{worker_id}/report-step": Request(409, lambda things: under_lease(things) | STEP),
    "POST /v1/workers/{worker_id}/ack": Request(
        409, lambda things: under_lease(things) | {"terminal_status": "completed", "result": 1}
    ),
    "POST /v1/workers/{worker_id}/suspend": Request(
        409, lambda things: under_lease(things) | {"waits": [{"kind": "interrupt"} | ASKED]}
    ),
    "POST /v1/workers/{worker_id}/interrupt": Request(
        409, lambda things: under_lease(things) | {"interrupts": [ASKED]}
    ),
    "POST /v1/workers/{worker_id}/release": Request(409, lambda things: {"lease_ids": [things.lease]}),
    "GET /v1/workers": LIST,
    "GET /v1/workers/{worker_id}": BY_NAME,
    "POST /v1/workers/{worker_id}/clear-quarantine": Request(404, lambda things: {}),
    # A workflow is a name: that nothing is held against it is said of any.
    "POST /v1/workflows/{workflow}/clear-hold": Request(200, lambda things: {}),
    "GET /v1/attempts/{attempt_id}": BY_NAME,
    "GET /v1/attempts/{attempt_id}/steps": Request(404, query=lambda things: {"lease_id": things.lease}),
    "GET /v1/attempts/{attempt_id}/retries": BY_NAME,
    "GET /v1/dlq": LIST,
    "GET /v1/dlq/{attempt_id}": BY_NAME,
    "POST /v1/dlq/{attempt_id}/replay": Request(404, lambda things: {}, again=(409,)),
    "GET /v1/audit/logs": LIST,
    "GET /v1/api-keys": LIST,
    "POST /v1/api-keys": Request(404, lambda things: {"role": "client", "tenant_id": HOME}),
    "POST /v1/api-keys/{key_id}/revoke": Request(404, lambda things: {}),
}


class Rig:
    """The server, a client for each (role, tenant), and what the answers were."""

    def __init__(self, server: ServerProcess, stack: ExitStack) -> None:
        self.server = server
        self.admin = stack.enter_context(server.client(headers=ADMIN))
        self.stranger = stack.enter_context(server.client())
        self.clients = {
            (role, tenant): stack.enter_context(server.client(headers=self.key(role, tenant)))
            for tenant in (None, HOME, ABROAD)
            for role in ROLES
        }
        self.cells = 0
        self.wrong: list[str] = []
        self._places = count(1)

    def key(self, role: str, tenant: str | None = None) -> dict[str, str]:
        """The headers of a new key."""
        made = data_of(self.admin.post("/v1/api-keys", json={"role": role, "tenant_id": tenant}))
        return {"x-api-key-id": made["key_id"], "x-api-key": made["secret"]}

    def things(self, route: str) -> Things:
        """Fresh things of the home tenant: a running job with its lease, a failed one, a key."""
        name = "".join(c if c.isalnum() else "-" for c in route)
        worker, home = f"w{name}", {"tenant_id": HOME, "workflow": name}
        client, at_work = self.clients["client", HOME], self.clients["worker", HOME]
        leases = {}
        for thread in (f"dead{name}", f"asks{name}", f"t{name}"):
            data_of(client.post("/v1/jobs", json={"thread_id": thread, **home}))
            # With the poll's id the route's own poll is answered with the same lease.
            poll = {"worker_id": worker, "workflows": [name], "poll_id": thread}
            (leases[thread],) = data_of(at_work.post("/v1/workers/poll", json=poll))["attempts"]
            lease = {k: leases[thread][k] for k in ("attempt_id", "lease_id")}
            if thread.startswith("dead"):
                data_of(at_work.post(f"/v1/workers/{worker}/ack", json=lease | {"terminal_status": "failed"}))
            if thread.startswith("asks"):
                asked = data_of(at_work.post(f"/v1/workers/{worker}/interrupt", json=lease | {"interrupts": [ASKED]}))
        step = lease | STEP | {"action_id": "saved", "checkpoint": {"values": 1}}
        saved = data_of(at_work.post(f"/v1/workers/{worker}/report-step", json=step))
        held = leases[f"t{name}"]
        return Things(
            thread=f"t{name}",
            run=held["run_id"],
            attempt=held["attempt_id"],
            lease=held["lease_id"],
            worker=worker,
            dead=leases[f"dead{name}"]["attempt_id"],
            key=self.key("client", HOME)["x-api-key-id"],
            checkpoint=saved["checkpoint_id"],
            interrupt=asked["interrupts"][0]["interrupt_id"],
        )

    def ask(self, client: httpx.Client, route: str, things: Things, **headers: str) -> httpx.Response:
        """One cell. Each comes from an address of its own: those who fail often are told to wait."""
        method, _, pattern = route.partition(" ")
        request = REQUESTS.get(route, LIST)
        place = next(self._places)
        self.cells += 1
        return client.request(
            method,
            pattern.format(**(things.named | things.instead(pattern))),
            json=None if request.body is None else request.body(things),
            params=request.query(things),
            headers={"x-forwarded-for": f"203.0.{place // 256}.{place % 256}"} | headers,
        )

    def check(self, route: str, who: str, response: httpx.Response, *expected: int) -> None:
        """Note a cell that is answered otherwise."""
        if response.status_code not in expected:
            self.wrong.append(f"{route} by {who}: {response.status_code}, not {expected}: {response.text[:300]}")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    settings = {"ORIS_API_AUTH_BEARER_TOKEN": "static-of-admin", "ORIS_TRUSTED_PROXIES": "127.0.0.1"}
    with ExitStack() as stack:
        server = stack.enter_context(serving(tmp_path_factory.mktemp("tenants"), **settings))
        yield Rig(server, stack)
        assert server.stop() == 0
        server.check_rows()
        assert server.lines("request_failed") == []


def test_every_route_is_in_the_table() -> None:
    assert REQUESTS.keys() == MAY.keys()


def said(response: httpx.Response) -> tuple[int, str]:
    """An error without what names the request itself."""
    return response.status_code, response.json()["error"]


def foreign_cells(rig: Rig, route: str, things: Things) -> None:
    """A key of another tenant is told the same about the home tenant's things as about nothing."""
    request = REQUESTS[route]
    for role in ROLES:
        who, client = f"{role} of {ABROAD}", rig.clients[role, ABROAD]
        about_them, about_nothing = (rig.ask(client, route, what) for what in (things, NOTHING))
        expected = request.foreign if role in MAY[route] else 403
        rig.check(route, who, about_them, expected)
        if about_them.status_code == 200:
            shown = about_them.text
            if HOME in shown or any(name in shown for name in (things.run, things.lease, things.dead, things.key)):
                rig.wrong.append(f"{route} by {who} shows {shown[:500]}")
        elif expected != 403 and said(about_them) != said(about_nothing):
            rig.wrong.append(f"{route} by {who} tells what is there: {about_them.text} {about_nothing.text}")


def home_cells(rig: Rig, route: str, things: Things) -> None:
    """A key of the same tenant, and one of none, may do what its role may."""
    request = REQUESTS[route]
    for tenant in (HOME, None):
        for role in ROLES:
            response = rig.ask(rig.clients[role, tenant], route, things)
            may = role in MAY[route] and not (request.whole_server and tenant is not None)
            # A worker of no tenant is another worker: the lease is not its own.
            others = (404, 409) if tenant is None and "worker" in route else ()
            rig.check(route, f"{role} of {tenant}", response, *((200, *others, *request.again) if may else (403,)))


def stranger_cells(rig: Rig, route: str, things: Things) -> None:
    """Without a key, with a wrong one, with half a one, with a revoked one."""
    good, revoked = rig.key("admin"), rig.key("admin")
    data_of(rig.admin.post(f"/v1/api-keys/{revoked['x-api-key-id']}/revoke"))
    sent = {
        "nobody": {},
        "a wrong token": {"authorization": "Bearer wrong"},
        "a wrong secret": good | {"x-api-key": "wrong"},
        "an unknown id": good | {"x-api-key-id": f"key_{things.thread}"},
        "an id alone": {"x-api-key-id": good["x-api-key-id"]},
        "a secret alone": {"x-api-key": good["x-api-key"]},
        "a secret as a token": {"authorization": f"Bearer {good['x-api-key']}"},
        "a revoked key": revoked,
    }
    for who, headers in sent.items():
        response = rig.ask(rig.stranger, route, things, **headers)
        rig.check(route, who, response, 401)
        if response.status_code == 401 and error_of(response)[2] != {"supported_auth": ["api_key", "bearer"]}:
            rig.wrong.append(f"{route} by {who}: {response.text}")


def test_every_route_answers_whom_it_may_about_what_there_is_for_him(rig: Rig, record_property: Figure) -> None:
    before = rig.cells
    for route in MAY:
        things = rig.things(route)
        foreign_cells(rig, route, things)
        stranger_cells(rig, route, things)
        # Last, because it changes the things.
        home_cells(rig, route, things)
    for route in sorted(PUBLIC):
        for client in (rig.stranger, *rig.clients.values()):
            rig.check(route, "anybody", rig.ask(client, route, NOTHING), 200)
    cells = rig.cells - before
    record_property("routes x roles x tenants x keys", f"{cells} cells of {len(MAY) + len(PUBLIC)} routes checked")
    assert cells == len(MAY) * (2 * len(ROLES) + 8 + 2 * len(ROLES)) + len(PUBLIC) * (1 + 3 * len(ROLES))
    assert rig.wrong == []


def test_a_tenant_that_is_named_beside_the_own_is_no_way_around(rig: Rig) -> None:
    things = rig.things("named")
    abroad = rig.clients["admin", ABROAD]
    for path in (
        f"/v1/jobs/{things.thread}",
        f"/v1/jobs/{things.thread}/timeline",
        "/v1/jobs",
        "/v1/dlq",
        "/v1/workers",
        f"/v1/workers/{things.worker}",
        "/v1/api-keys",
    ):
        for tenant in (HOME, "", "nobodys"):
            assert error_of(abroad.get(path, params={"tenant_id": tenant})) == (404, "not_found", {}), path
        if path != f"/v1/workers/{things.worker}":
            known = rig.clients["admin", HOME].get(path, params={"tenant_id": HOME})
            assert known.status_code == 200, path
    for body in ({"tenant_id": HOME}, {"tenant_id": ""}):
        assert error_of(abroad.post(f"/v1/jobs/{things.thread}/cancel", json=body))[0] == 404
        assert error_of(abroad.post("/v1/jobs", json={"thread_id": "x", **body}))[0] == 404


def test_a_bound_key_needs_to_name_no_tenant_where_two_have_the_thread(rig: Rig) -> None:
    for tenant in (HOME, ABROAD):
        data_of(rig.clients["client", tenant].post("/v1/jobs", json={"thread_id": "both", "idempotency_key": "k"}))
    runs = {data_of(rig.clients["client", tenant].get("/v1/jobs/both"))["run_id"] for tenant in (HOME, ABROAD)}
    assert len(runs) == 2
    assert error_of(rig.admin.get("/v1/jobs/both"))[2] == {"reason": "ambiguous_thread"}


def test_a_bound_worker_is_granted_its_tenants_work_alone(rig: Rig) -> None:
    for tenant in (HOME, ABROAD):
        job = {"thread_id": "work", "workflow": "granted"}
        data_of(rig.clients["client", tenant].post("/v1/jobs", json=job))
    for tenant in (ABROAD, HOME):
        poll = {"worker_id": "same", "workflows": ["granted"], "limit": 10}
        polled = data_of(rig.clients["worker", tenant].post("/v1/workers/poll", json=poll))
        assert [attempt["tenant_id"] for attempt in polled["attempts"]] == [tenant]
        assert polled["worker_active_leases"] == 1
    chosen = {"worker_id": "chooser", "only_threads": ["work"], "limit": 10}
    assert data_of(rig.clients["admin", ABROAD].post("/v1/workers/poll", json=chosen))["attempts"] == []


def test_what_a_bound_key_did_or_tried_is_in_its_own_tenants_trail(rig: Rig) -> None:
    things = rig.things("trail")
    abroad, home = rig.clients["operator", ABROAD], rig.clients["operator", HOME]
    tried = {"x-request-id": "tried-abroad"}
    assert abroad.post(f"/v1/jobs/{things.thread}/cancel", json={}, headers=tried).status_code == 404
    foreign = {"thread_id": "x", "tenant_id": HOME}
    assert abroad.post("/v1/jobs", json=foreign, headers=tried).status_code == 404
    (refused,) = data_of(abroad.post("/v1/jobs/batch", json={"jobs": [foreign]}, headers=tried))["results"]
    assert refused["error"]["code"] == "not_found"
    data_of(abroad.post("/v1/jobs/batch", json={"jobs": [{"thread_id": "own"}]}, headers=tried))
    query = {"request_id": "tried-abroad"}
    logs = data_of(abroad.get("/v1/audit/logs", params=query))["logs"]
    assert [(record["action"], record["tenant_id"], record["result"]) for record in reversed(logs)] == [
        ("job.cancel", ABROAD, "not_found"),
        ("job.run", ABROAD, "not_found"),
        ("job.batch", ABROAD, "not_found"),
        ("job.batch", ABROAD, "ok"),
    ]
    assert data_of(home.get("/v1/audit/logs", params=query))["logs"] == []


def test_a_cursor_names_the_last_thing_of_its_page_and_no_number_of_a_row(rig: Rig) -> None:
    """Rows are numbered over all tenants: such numbers would tell of the others."""
    things = rig.things("numbered")
    rig.things("numbered too")
    home = rig.clients["admin", HOME]
    lists = [route for route in route_table(1024).routes if route.query and "cursor" in route.query.__struct_fields__]
    assert len(lists) == 8
    paged = 0
    for route in lists:
        path = route.path.format(**things.named)
        for made_up in ("1", "10", "1700000000000.10", f"1700000000000.{HOME}/w"):
            refused = error_of(home.get(path, params={"cursor": made_up}))
            assert refused == (400, "invalid_argument", {"field": "cursor"}), path
        page = home.get(path, params={"limit": 1})
        cursor = data_of(page)["next_cursor"]
        if cursor is None:
            continue
        paged += 1
        listed, number, name = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        assert listed == route.path
        # By its time; or, in the lists of one thread, by an event of that thread.
        assert int(number) > 1_700_000_000_000 or (int(number) < 100 and name == ""), path
        assert name.rpartition("/")[2].removeprefix("run_") in page.text, path
        data_of(home.get(path, params={"limit": 1, "cursor": cursor}))
    assert paged >= 5


def test_where_a_record_stands_in_the_trail_is_for_callers_of_all_tenants(rig: Rig) -> None:
    rig.things("recorded")
    place = ("chain_id", "seq", "hash")
    for record in data_of(rig.clients["admin", HOME].get("/v1/audit/logs"))["logs"]:
        assert [record[name] for name in place] == [None, None, None]
    logs = data_of(rig.admin.get("/v1/audit/logs"))["logs"]
    assert len(logs) > 1
    assert all(record[name] for record in logs for name in place)
