"""What one commit does: every unit's commands decided in order, then one dispatch. Pure, so it may run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct, field

from oris.audit_actions import OPENING
from oris.core import audit as trail
from oris.core.audit import Audit, AuditHead
from oris.core.changes import Decision
from oris.core.commands import Submit, Want
from oris.core.decide import add_needs, decide
from oris.core.dispatch import dispatch
from oris.core.facts import Facts
from oris.core.limits import Limits
from oris.core.mode import CLUSTER
from oris.core.model import Lane, Worker
from oris.core.needs import Heads, Loaded, Needs
from oris.core.outage import Outage
from oris.core.replies import SWITCHED_OFF, Granted, Refusal, Reply
from oris.core.room import Answers
from oris.core.stamp import Stamp
from oris.engine.parked import Parked
from oris.engine.parked import State as PollState
from oris.engine.unit import INTERNAL, State, Unit
from oris.errors import ErrorCode, StoreError
from oris.ids import NodeId, RunId, TenantId, job_key

UNAUDITED = frozenset({ErrorCode.BACKPRESSURE, ErrorCode.UNAVAILABLE, ErrorCode.INVALID_ARGUMENT, ErrorCode.INTERNAL})
"""Refusals that are no decision about the thing itself: logged, not audited."""


class Batch(Struct):
    """Units and polls that go into one commit."""

    batch_id: str
    seed: int
    units: Sequence[Unit]
    parked: Sequence[Parked]
    heads: dict[Lane, int] | None = None
    """How many jobs to read of which lanes. None: to be chosen when it is decided, for another commit may have changed
    where there is work."""

    def __len__(self) -> int:
        return len(self.units) + len(self.parked)

    def needs(self, node_name: str, set_aside: int = 0) -> Needs:
        """What all of it has to see; so many jobs that are granted to nobody may stand among the heads.

        Also what is switched at this node: what it knew of that may be old.
        """
        needs = Needs(heads={lane: number + set_aside for lane, number in (self.heads or {}).items()})
        needs.modes = {CLUSTER, node_name}
        for unit in self.units:
            for command in unit.commands:
                add_needs(needs, command)
        for want in self.wants():
            needs.workers.add(want.worker_key)
            if want.poll_id is not None:
                needs.polls.add((want.worker_key, want.poll_id))
            if want.tenant_id is not None:
                needs.jobs |= {job_key(want.tenant_id, thread) for thread in want.threads or ()}
            else:
                needs.threads |= want.threads or frozenset()
        return needs

    def wants(self) -> list[Want]:
        """What all polls would take."""
        return [poll.want for poll in self.polls()]

    def polls(self) -> list[Parked]:
        """All polls, parked ones first: they have waited longer."""
        return [*self.parked, *(unit.poll for unit in self.units if unit.poll is not None)]

    def halves(self, seed: int) -> tuple[Batch, Batch]:
        """Two batches that together are this one, in the same order; the second's grants have that fresh seed."""
        units, parked = len(self.units) // 2, len(self.parked) // 2
        if len(self.units) == 1 and len(self.parked) == 1:
            parked = 1
        first = Batch(self.batch_id + "a", self.seed, self.units[:units], self.parked[:parked])
        second = Batch(self.batch_id + "b", seed, self.units[units:], self.parked[parked:])
        return first, second

    def fail(self, error: StoreError) -> None:
        """Answer with an error those who have no answer yet; the others keep theirs."""
        for unit in self.units:
            if unit.state is not State.DONE:
                unit.fail(error)
        for parked in self.polls():
            if parked.is_in_batch:
                parked.fail(error)


def coming_lanes(units: Sequence[Unit]) -> Counter[Lane]:
    """Lanes that these units may queue jobs in, and how many; as far as can be told before they are decided."""
    return Counter(
        Lane(command.tenant_id, command.workflow)
        for unit in units
        for command in unit.commands
        if isinstance(command, Submit)
    )


class Context(Struct, frozen=True):
    """What a batch is decided under, besides the store's facts."""

    limits: Limits
    tenant_limit: int
    node_id: NodeId
    audit_head: AuditHead | None
    set_aside: frozenset[RunId]
    outages: Callable[[int, int], tuple[Outage, ...]]
    """Those that matter to a batch decided at this time, when other nodes have owed nothing until that time."""
    calm_ms: Callable[[int], int]
    """Until when no outage was to be made up for, of a batch that is decided at this time."""
    skew_ms: Callable[[], int]
    """How far the calendar is ahead of the engine's time now; see `core.stamp`."""
    chain_id: str
    other_chains: tuple[AuditHead, ...]
    may_hold_work: Callable[[Lane], bool]
    answers_left: Callable[[TenantId | None], int]
    """How many bytes the answers of callers of this tenant may still take."""
    on_error: Callable[[Exception], None]


class Outcome(Struct):
    """What came of a batch, to be published once it is committed."""

    now_ms: int
    facts: Facts
    replies: list[tuple[Reply, ...]] = field(default_factory=list)
    """One tuple per unit."""
    parked: list[Parked] = field(default_factory=list)
    """The polls that were served, parked ones first: those whose caller has not gone meanwhile, and whose unit was not
    refused."""
    granted: list[Granted] = field(default_factory=list)
    """For these, in order."""
    decisions: list[Decision] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    """Workers whose session or quarantine was decided on."""
    drained: set[Lane] = field(default_factory=set)
    blocked: set[Lane] = field(default_factory=set)
    set_aside: set[RunId] = field(default_factory=set)
    """Runs that could not be granted."""
    others_calm_ms: int = 0
    """Until when other nodes have owed nothing."""
    held: dict[Lane, int | None] = field(default_factory=dict)
    """Lanes whose workflow is held, with when the next probe may be granted; None: one is out."""


def decide_batch(batch: Batch, loaded: Loaded, now_ms: int, context: Context) -> Outcome:
    """Decide all of it. A command whose decision raises answers `internal` and changes nothing; the rest goes on."""
    facts = Facts(
        loaded,
        context.limits,
        audit_head=context.audit_head,
        set_aside=context.set_aside,
        outages=context.outages(now_ms, loaded.others_calm_ms),
        node_id=context.node_id,
        skew_ms=context.skew_ms(),
    )
    facts.changes.calm_ms, facts.changes.skew_ms = context.calm_ms(now_ms), facts.skew_ms
    outcome = Outcome(now_ms, facts, others_calm_ms=loaded.others_calm_ms)
    for unit in batch.units:
        # What was let in before the switch and is decided after it would come as a surprise.
        is_off = not facts.modes.submit and not unit.by_admin
        facts.admission = unit.refusal or (SWITCHED_OFF if is_off else None)
        outcome.replies.append(_decide_unit(unit, facts, now_ms, outcome, context))
    _dispatch(batch, facts, outcome, context)
    return outcome


def _decide_unit(unit: Unit, facts: Facts, now_ms: int, outcome: Outcome, context: Context) -> tuple[Reply, ...]:
    replies: list[Reply] = []
    for place, command in enumerate(unit.commands):
        try:
            decision = decide(facts, command, Stamp(now_ms, unit.seed + (place << 5), facts.skew_ms))
        except Exception as error:
            context.on_error(error)
            replies.append(INTERNAL)
            continue
        facts.apply(decision, now_ms)
        replies.append(decision.reply)
        if decision.job is not None:
            outcome.decisions.append(decision)
        if decision.worker is not None:
            outcome.workers.append(decision.worker)
    if unit.audit is not None:
        _audit(unit.audit, replies, facts, Stamp(now_ms, unit.seed + (len(unit.commands) << 5), facts.skew_ms), context)
    return tuple(replies)


def _dispatch(batch: Batch, facts: Facts, outcome: Outcome, context: Context) -> None:
    for key in facts.queued:
        lane = facts.jobs[key].lane
        if lane not in facts.heads and not context.may_hold_work(lane):
            facts.heads[lane] = Heads((), complete=True)
    answered = zip(batch.units, outcome.replies, strict=True)
    refused = {unit.poll for unit, replies in answered if _is_refused(unit, replies)}
    outcome.parked = [poll for poll in batch.polls() if poll.is_in_batch and poll not in refused]
    wants = [poll.want for poll in outcome.parked]
    if not wants:
        return
    alone = sum(poll.state is not PollState.BROUGHT for poll in outcome.parked)
    stamp = Stamp(outcome.now_ms, batch.seed, facts.skew_ms)
    answers = Answers({tenant: context.answers_left(tenant) for tenant in {want.tenant_id for want in wants}})
    result = dispatch(facts, wants, stamp, context.tenant_limit, alone, answers)
    outcome.granted = result.granted
    outcome.decisions.extend(decision for _, decision in result.entries)
    outcome.drained, outcome.blocked = result.drained, result.blocked
    outcome.set_aside, outcome.held = set(result.errors), result.held
    for error in result.errors.values():
        context.on_error(error)


def _is_refused(unit: Unit, replies: tuple[Reply, ...]) -> bool:
    """Whether a unit's only command was refused: then its poll fetches nothing."""
    return len(replies) == 1 and len(unit.commands) == 1 and isinstance(replies[0], Refusal)


def _audit(audit: Audit, replies: list[Reply], facts: Facts, stamp: Stamp, context: Context) -> None:
    refusals = [reply for reply in replies if isinstance(reply, Refusal)]
    if refusals and len(refusals) == len(replies) and all(r.code in UNAUDITED for r in refusals):
        return
    if facts.audit_head is None:
        _open_chain(facts, stamp, context)
    assert facts.audit_head is not None
    counts = {"accepted": len(replies) - len(refusals), "refused": len(refusals) + audit.refused_before}
    result = "ok"
    if audit.refusal is not None:
        result = audit.refusal
    elif refusals and len(refusals) == len(replies):
        details = refusals[0].details or {}
        result = str(details.get("reason") or refusals[0].code)
    details_json = msgspec.json.encode(counts) if audit.resource_type == "batch" else audit.details
    facts.audit(trail.record(facts.audit_head, audit, result, details_json, stamp))


def _open_chain(facts: Facts, stamp: Stamp, context: Context) -> None:
    """A chain's first record holds the heads of the others."""
    opening = Audit("system", "oris", "system", "", "", OPENING, "audit_chain", context.chain_id, "")
    heads = {head.chain_id: [head.seq, head.hash.hex()] for head in context.other_chains}
    start = AuditHead(context.chain_id, 0, bytes(32))
    facts.audit(trail.record(start, opening, "ok", msgspec.json.encode(heads), stamp))
