"""The mode: what operators switch off, at one node or everywhere, and what goes on all the same."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oris.core.commands import SetMode
from oris.core.mode import CLUSTER, OFFLINE, Mode, Modes
from oris.core.replies import Beaten, ModeSet, Refusal, Reported, Submitted
from oris.errors import ErrorCode
from oris.ids import NodeId
from oris.storage.memory.tables import NodeRow

from .world import START_MS, World, submit, the, want

NODE = NodeRow("there", "batch", 1)
"""The row of a node that has committed something."""


def switch(world: World, node: str = CLUSTER, *, submit: bool = True, dispatch: bool = True) -> Mode:
    """An operator's wish, which is granted."""
    return the(ModeSet, world.ask(SetMode(node, submit, dispatch, "why", "ann"))).mode


@pytest.mark.parametrize(
    ("submit", "dispatch", "word"),
    [
        (True, True, "serving"),
        (True, False, "dispatch_off"),
        (False, True, "submit_off"),
        (False, False, "drained"),
    ],
)
@pytest.mark.parametrize("node", [CLUSTER, "here"])
def test_a_mode_has_a_word_wherever_it_was_switched(node: str, submit: bool, dispatch: bool, word: str) -> None:
    world = World()
    assert switch(world, node, submit=submit, dispatch=dispatch) == Mode(node, submit, dispatch, "why", "ann", START_MS)
    assert (world.modes.submit, world.modes.dispatch, world.modes.word) == (submit, dispatch, word)
    assert world.tables.modes == {node: Mode(node, submit, dispatch, "why", "ann", START_MS)}


def test_what_nobody_has_ever_switched_is_on() -> None:
    assert (Modes().word, Modes().rows) == ("serving", ())


def test_at_a_node_is_on_what_both_it_and_the_cluster_have_on() -> None:
    world = World()
    switch(world, "here", dispatch=False)
    switch(world, CLUSTER, submit=False)
    assert world.modes.word == "drained"
    switch(world, CLUSTER)
    assert world.modes.word == "dispatch_off"
    switch(world, CLUSTER, submit=False)
    switch(world, "here")
    assert world.modes.word == "submit_off"


def test_another_nodes_mode_is_stored_and_changes_nothing_here() -> None:
    world = World()
    world.tables.nodes[NodeId("there")] = NODE
    switch(world, "there", submit=False, dispatch=False)
    assert world.modes.word == "serving"
    assert world.tables.modes["there"].dispatch is False


def test_a_node_that_was_never_there_is_not_found() -> None:
    world = World()
    world.tables.nodes[NodeId("there")] = NODE
    refused = the(Refusal, world.ask(SetMode("ther", False, False, None, "ann")))
    assert refused.code is ErrorCode.NOT_FOUND
    assert world.tables.modes == {}


def test_the_name_of_commands_without_a_server_is_no_nodes() -> None:
    world = World()
    world.tables.nodes |= {NodeId("there"): NODE, NodeId(OFFLINE): replace(NODE, name=OFFLINE)}
    refused = the(Refusal, world.ask(SetMode(OFFLINE, False, False, None, "ann")))
    assert refused.code is ErrorCode.NOT_FOUND
    assert world.tables.modes == {}


def test_the_last_switch_of_a_batch_counts() -> None:
    world = World()
    off, on = SetMode(CLUSTER, False, False, None, "ann"), SetMode(CLUSTER, True, False, None, "bob")
    world.batch([off, on])
    assert world.modes.word == "dispatch_off"
    assert world.tables.modes[CLUSTER].set_by == "bob"


def test_without_dispatch_nothing_new_is_given_out_and_what_waits_keeps_its_place() -> None:
    world = World()
    world.submit("a")
    switch(world, dispatch=False)
    world.submit("b", priority=9)
    polled = world.poll("w", 5)
    assert (polled.jobs, polled.blocked) == ((), None)
    assert world.last.drained == set()
    switch(world)
    assert world.got("w", 5) == ["b", "a"]


def test_a_poll_in_the_very_commit_that_switches_dispatch_off_gets_nothing() -> None:
    world = World()
    world.batch([submit("a"), SetMode(CLUSTER, True, False, None, "ann")], [want("w")])
    assert world.last.granted[0].jobs == ()
    assert world.job("a").status == "queued"


def test_threads_that_are_named_are_given_out_all_the_same() -> None:
    world = World()
    world.submit("a")
    world.submit("smoke")
    switch(world, submit=False, dispatch=False)
    assert world.got("admin", 5, threads={"smoke"}) == ["smoke"]
    assert world.job("a").status == "queued"


def test_leases_that_a_lost_answer_carried_come_again_while_dispatch_is_off() -> None:
    world = World()
    world.submit("a")
    world.submit("b")
    (job,) = world.poll("w", 1, poll_id="p").jobs
    switch(world, dispatch=False)
    again = world.poll("w", 1, poll_id="p")
    assert ([each.lease_id for each in again.redelivered], again.jobs) == ([job.lease_id], ())


def test_heartbeats_reports_acks_retries_and_timers_go_on() -> None:
    world = World()
    job = world.start("a")
    world.submit("later", delay_ms=500)
    switch(world, submit=False, dispatch=False)
    assert the(Beaten, world.beat(job)).state == "held"
    the(Reported, world.report(job, "step"))
    world.later(500)
    world.sweep("later")
    assert world.job("later").status == "queued"
    assert world.acked(job).status == "completed"


def test_whether_new_runs_are_taken_is_the_gates_decision_and_not_the_cores() -> None:
    """The batch tells each unit what the gate says; a command by itself asks no switch."""
    world = World()
    switch(world, submit=False)
    the(Submitted, world.submit("a"))
