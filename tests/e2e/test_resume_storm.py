"""A thousand people answer one question at once, in two minds: one value wins, everybody is told right, and a killed
server comes back to the same answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from oris.core.invariants import check_all

from .calls import Caller, lease_of
from .left_behind import left_behind
from .raw_http import Connection, Reply, connected
from .server_process import ServerProcess, data_of, serving
from .test_kill import Line, Up, start

ANSWERS = 1000
KILLS_AFTER = (1, 500)
"""How many answers have come in when the server is killed."""
VALUES = ("yes", "no")
LIMIT_S = 120.0
QUESTION = {"key": "approve", "value": "may I?"}


@dataclass
class Ballot:
    """Who was told what."""

    path: str
    replies: dict[int, Reply] = field(default_factory=dict)

    def value_of(self, voter: int) -> str:
        """In two minds, evenly."""
        return VALUES[voter % 2]

    def check(self) -> str:
        """One value won, and all were told the right thing; the value."""
        # Who is refused is told as well which value it was: the other one.
        winners = {VALUES[(voter + (reply.status != 200)) % 2] for voter, reply in self.replies.items()}
        (winner,) = winners
        answers = set()
        for voter, reply in self.replies.items():
            if self.value_of(voter) == winner:
                assert reply.data["settled_value"] == winner
                answers.add(json.dumps(reply.data, sort_keys=True))
            else:
                assert (reply.status, reply.reason) == (409, "resume_mismatch"), reply.body
        assert len(answers) <= 1
        return winner


def ask_people(caller: Caller) -> Ballot:
    """A run that waits for one answer."""
    caller.submit()
    asked = data_of(caller.of_worker("interrupt", **lease_of(caller.take()), interrupts=[QUESTION]))
    return Ballot(f"/v1/interrupts/{asked['interrupts'][0]['interrupt_id']}/resume")


def check_outcome(caller: Caller, winner: str) -> None:
    """It was settled once, with that value, and the worker is handed it."""
    settled = [e for e in caller.of_thread("/timeline")["timeline"] if e["event_type"] == "wait_settled"]
    assert len(settled) == 1
    assert [resume["value"] for resume in caller.take()["resumes"]] == [winner]


def audited(caller: Caller) -> Counter[str]:
    """How the answers ended, by the trail."""
    results: Counter[str] = Counter()
    more: dict[str, Any] = {}
    while True:
        page = data_of(caller.get("/v1/audit/logs", action="interrupt.resume", limit=200, **more))
        results.update(record["result"] for record in page["logs"])
        if page["next_cursor"] is None:
            return results
        more = {"cursor": page["next_cursor"]}


async def test_of_a_thousand_answers_at_once_with_two_values_one_wins_and_all_are_told_right(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        caller = Caller(http, "many")
        ballot = ask_people(caller)

        async def answer(voter: int, connection: Connection) -> None:
            ballot.replies[voter] = await connection.post(ballot.path, {"value": ballot.value_of(voter)})

        with trio.fail_after(LIMIT_S):
            async with AsyncExitStack() as stack:
                connections = [await stack.enter_async_context(connected(server.address)) for _ in range(ANSWERS)]
                async with trio.open_nursery() as nursery:
                    for voter, connection in enumerate(connections):
                        nursery.start_soon(answer, voter, connection)
        assert len(ballot.replies) == ANSWERS
        winner = ballot.check()
        told = Counter(reply.status for reply in ballot.replies.values())
        assert told == {200: ANSWERS // 2, 409: ANSWERS // 2}
        assert audited(caller) == {"ok": ANSWERS // 2, "resume_mismatch": ANSWERS // 2}
        check_outcome(caller, winner)


async def kill_in_the_middle(ballot: Ballot, server: ServerProcess, up: Up, after: int) -> ServerProcess:
    """Kill the server when so many have an answer; what they were told is in the rows it leaves. The next server."""
    while len(ballot.replies) < after:
        await trio.sleep(0.001)
    before = dict(ballot.replies)
    server.kill()
    up.note(None)
    rows = left_behind(server.database)
    assert check_all(rows) == []
    (wait,) = rows.waits.values()
    winner = Ballot(ballot.path, before).check()
    assert wait.status == "resumed"
    assert json.loads(rows.payloads[wait.job_key, wait.settled_seq]) == winner
    server = await start(server.folder)
    up.note(server.address)
    return server


async def test_kill_9_in_the_middle_of_a_thousand_answers_changes_none_that_was_given(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    up = Up()
    server = await start(tmp_path)
    try:
        with server.client() as http:
            ballot = ask_people(Caller(http, "killed"))
        repeated = Ballot(ballot.path)

        async def answer(voter: int, told: Ballot) -> None:
            with closing(Line(up)) as line:
                told.replies[voter] = await line.post(ballot.path, {"value": ballot.value_of(voter)})

        up.note(server.address)
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                for voter in range(ANSWERS):
                    nursery.start_soon(answer, voter, ballot)
                for after in KILLS_AFTER:
                    server = await kill_in_the_middle(ballot, server, up, after)
            cut = up.repeats
            winner = ballot.check()
            assert len(ballot.replies) == ANSWERS
            # Everybody asks again, and hears the same.
            async with trio.open_nursery() as nursery:
                for voter in range(0, ANSWERS, 9):
                    nursery.start_soon(answer, voter, repeated)
        assert repeated.check() == winner
        for voter, reply in repeated.replies.items():
            assert json.loads(reply.body).get("data") == json.loads(ballot.replies[voter].body).get("data")
        assert cut > 0
        record_property("answers to one question", f"{ANSWERS}, {len(KILLS_AFTER)} kills, {cut} calls cut and repeated")
        with server.client() as http:
            check_outcome(Caller(http, "killed"), winner)
        assert server.stop() == 0
    finally:
        server.kill()
