"""A poll goes from state to state as drawn in `oris.engine.parked`, and stands in the line of its state."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from oris.core.model import Lane
from oris.core.replies import Granted
from oris.engine.bell import Bell
from oris.engine.demand import Demand
from oris.engine.parked import WAITING, Ending, Parked, State
from oris.errors import Unavailable
from oris.ids import TenantId

from .harness import want
from .test_demand import NOTHING

S = State
HELD_BACK = {S.AT_TENANT_LIMIT, S.AT_WORKER_LIMIT, S.CHOOSING, S.WITHOUT_ROOM}
GRANTED = Granted((SimpleNamespace(run_id="run"),), (), None, 1, 100)  # type: ignore[arg-type]
REPLACED = Granted((), (), "session_superseded", 0, 100)

Step = Callable[[Parked], None]
IN_BATCH = [S.BROUGHT, S.FIRST_LOOK, S.TAKEN]
STAYS = {state: state for state in IN_BATCH}
STEPS: dict[str, tuple[Step, dict[State, State]]] = {
    "take": (Parked.take, {S.NEW: S.FIRST_LOOK, S.IN_LINE: S.TAKEN}),
    "serve, nothing": (lambda poll: poll.serve(NOTHING, {}, S.IN_LINE), dict.fromkeys(IN_BATCH, S.IN_LINE)),
    "serve, not all was shown": (lambda poll: poll.serve(NOTHING, {}, S.NEW), dict.fromkeys(IN_BATCH, S.NEW)),
    "serve, something": (lambda poll: poll.serve(GRANTED, {}, S.IN_LINE), dict.fromkeys(IN_BATCH, S.OVER)),
    "serve, session is over": (lambda poll: poll.serve(REPLACED, {}, S.IN_LINE), dict.fromkeys(IN_BATCH, S.OVER)),
    "fail": (lambda poll: poll.fail(Unavailable("away")), dict.fromkeys(IN_BATCH, S.OVER)),
    "refuse": (Parked.refuse, {S.BROUGHT: S.OVER}),
    "free": (Parked.free, dict.fromkeys(HELD_BACK, S.IN_LINE)),
    "end, control": (lambda poll: poll.end("control"), STAYS | {S.NEW: S.NEW} | dict.fromkeys(WAITING, S.OVER)),
    "end, superseded": (lambda poll: poll.end("superseded"), STAYS | dict.fromkeys({S.NEW, *WAITING}, S.OVER)),
    "give up": (lambda poll: poll.give_up("draining"), STAYS | dict.fromkeys({S.NEW, *WAITING}, S.OVER)),
    "leave": (Parked.leave, dict.fromkeys(set(S) - {S.GONE}, S.GONE)),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("state", State)
def test_a_step_leads_where_it_should_and_one_that_is_not_legal_raises(state: State, name: str) -> None:
    step, legal = STEPS[name]
    poll = Parked(want("w"), 0)
    poll.state = state
    if state in legal:
        step(poll)
        assert poll.state is legal[state]
    else:
        with pytest.raises(RuntimeError, match=f"a poll that is {state.name} cannot be"):
            step(poll)
        assert poll.state is state


def test_a_poll_that_names_its_threads_is_looked_at_anew() -> None:
    poll = Parked(want("w", threads=["t"]), 0)
    poll.state = State.CHOOSING
    poll.free()
    assert poll.state is State.NEW


@pytest.mark.parametrize(
    ("first_look", "ending", "answered"),
    [
        (True, None, "failed"),
        (True, "control", "failed"),
        (True, "draining", "failed"),
        (True, "superseded", "superseded"),
        (False, None, "failed"),
        (False, "control", "control"),
    ],
)
def test_a_poll_that_ends_in_a_batch_that_fails_is_told_so_unless_it_had_nothing_to_learn_from_it(
    *, first_look: bool, ending: Ending | None, answered: Ending
) -> None:
    poll = Parked(want("w"), 0)
    poll.state = State.FIRST_LOOK if first_look else State.TAKEN
    if ending is not None:
        poll.end(ending)
    poll.fail(Unavailable("away"))
    assert (poll.state, poll.ending) == (State.OVER, answered)


def test_a_poll_that_ends_in_a_batch_is_over_with_what_that_has_given_it() -> None:
    poll = Parked(want("w"), 0)
    poll.take()
    poll.end("control")
    poll.end("draining")
    poll.serve(Granted((), (), None, 0, 100, carried_bytes=1), {}, State.IN_LINE)
    assert (poll.state, poll.ending) == (State.OVER, "control")
    assert poll.granted is not None


class Crowd:
    """Polls of all kinds at one demand, to which anything may happen."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.demand = Demand(Bell(), 10)
        self.polls: list[Parked] = []

    def step(self) -> None:
        demand, draw = self.demand, self.random
        open_polls = [poll for poll in self.polls if poll.ending is None and poll.state is not State.OVER]
        lane = Lane(TenantId(draw.choice("ab")), draw.choice("xy"))
        match draw.randrange(12):
            case 0 | 1 | 2:
                self.comes()
            case 3 | 4 | 5:
                self.dispatch()
            case 6:
                demand.raise_level(lane)
            case 7:
                demand.lower([lane], [])
            case 8:
                demand.lease_ended(want(f"w{draw.randrange(5)}").worker_key, lane.tenant_id)
            case 9 if open_polls:
                draw.choice(open_polls).end("control")
            case 10 if self.polls:
                poll = self.polls.pop(draw.randrange(len(self.polls)))
                demand.leave(poll)
                demand.leave(poll)
            case 11 if draw.random() < 0.5:
                draw.choice([demand.look_again, demand.stop_dispatch])()
            case 11:
                demand.quarantine_over(1_000)
            case _:
                pass

    def comes(self) -> None:
        draw = self.random
        poll = Parked(
            want(
                f"w{draw.randrange(5)}",
                draw.choice([0, 1]),
                tenant=draw.choice([None, "a", "b"]),
                workflows=draw.choice([None, ["x"], ["x", "y"]]),
                threads=draw.choice([None, None, ["t"]]),
                tenant_limit=draw.choice([1, 10]),
                poll_id=draw.choice([None, "p"]),
            ),
            0,
            brought=draw.random() < 0.2,
        )
        self.demand.park(poll)
        self.polls.append(poll)

    def dispatch(self) -> None:
        draw = self.random
        taken, _ = self.demand.take({}, [])
        for poll in [*taken, *(poll for poll in self.polls if poll.state is S.BROUGHT)]:
            blocked = draw.choice([None, None, "tenant_limit", "worker_limit", "quarantined"])
            until_ms = 1_000 if blocked == "quarantined" else None
            got = Granted((), (), blocked, 0, 1, quarantined_until_ms=until_ms, cut=draw.random() < 0.2)  # type: ignore[arg-type]
            if draw.random() < 0.2:
                poll.fail(Unavailable("away"))
            elif poll.state is S.BROUGHT and draw.random() < 0.2:
                poll.refuse()
            else:
                self.demand.served(poll, draw.choice([got, got, got, GRANTED, REPLACED]), {})

    def where(self, poll: Parked) -> set[State]:
        """The states in whose line it stands."""
        demand = self.demand
        lines = {
            S.NEW: list(demand._new),
            S.IN_LINE: demand._in_line.all_for(),
            S.AT_TENANT_LIMIT: demand._at_tenant_limit.all_for(),
            S.AT_WORKER_LIMIT: list(demand._at_worker_limit),
            S.CHOOSING: list(demand._choosing),
        }
        return {state for state, line in lines.items() if poll in line}


def test_each_poll_stands_in_the_line_of_its_state_and_in_no_other() -> None:
    seen: set[State] = set()
    for seed in range(20):
        crowd = Crowd(seed)
        for _ in range(400):
            crowd.step()
            for poll in crowd.polls:
                assert crowd.where(poll) == {poll.state} - {S.BROUGHT, S.CONTROL_ONLY, S.OVER}
                seen.add(poll.state)
        for poll in crowd.polls:
            crowd.demand.leave(poll)
        assert len(crowd.demand) == 0
        assert not crowd.demand._looking
    assert seen == WAITING - {S.WITHOUT_ROOM} | {S.NEW, S.BROUGHT, S.OVER}
