"""Bugs planted into retention: each is found within a few seeds, by the right rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest
from msgspec.structs import replace

from oris.core.audit_anchor import AnchorKey
from oris.core.old import OldestRuns
from oris.engine.retention import RetentionRules
from oris.engine.roster import Roster
from oris.storage.sqlite.reads import SqliteReads

from .planting import Bug, Patch, assert_found, bug, keep, module, name_of
from .test_planted_bugs import SEEDS

RULES = RetentionRules(1500, 2000, AnchorKey("simulated" * 4), every_ms=200)
NOTHING = " AND 0"


def _judged_otherwise(patch: Patch, change: Callable[[OldestRuns], OldestRuns], later_ms: int = 0) -> None:
    """What may go is decided on other facts than those that were read."""
    retention = module("engine.retention")
    real = retention.may_go

    patch.setattr(retention, "may_go", lambda found, page, before_ms: real(found, change(page), before_ms + later_ms))


def the_source_of_a_kept_replay_goes(patch: Patch) -> None:
    _judged_otherwise(patch, lambda old: replace(old, runs=tuple(replace(run, replayed_until=0) for run in old.runs)))


def a_dead_letter_that_nobody_has_seen_goes(patch: Patch) -> None:
    _judged_otherwise(patch, lambda old: replace(old, runs=tuple(replace(run, dead=False) for run in old.runs)))


def a_run_goes_before_its_time(patch: Patch) -> None:
    _judged_otherwise(patch, lambda old: old, later_ms=1000)


def nothing_ever_goes(patch: Patch) -> None:
    _judged_otherwise(patch, lambda old: replace(old, runs=(), after=None))


def a_thread_is_cut_where_it_was_a_pass_ago(patch: Patch) -> None:
    real, read = SqliteReads.oldest_runs, dict[Any, Any]()

    async def told_twice(self: SqliteReads, threads: Any, limit: int) -> Any:
        known = read.pop((tuple(threads), limit), None)
        if known is None:
            known = read[tuple(threads), limit] = await real(self, threads, limit)
        return known

    patch.setattr(SqliteReads, "oldest_runs", told_twice)
    patch.setattr(module("core.decide.prune"), "place_of", lambda job: ANY)


def _statement(patch: Patch, name: str) -> None:
    sql = module("storage.sqlite.retention_statements")
    patch.setattr(sql, name, getattr(sql, name) + NOTHING)


def a_claim_stays_without_its_run(patch: Patch) -> None:
    _statement(patch, "DELETE_CLAIMS")


def a_claim_goes_without_its_run(patch: Patch) -> None:
    retention = module("storage.sqlite.retention")
    real = retention._prune

    def prune(connection: Any, pruned: Any) -> None:
        real(connection, pruned)
        connection.execute("DELETE FROM runtime_replay_effects")

    patch.setattr(retention, "_prune", prune)


def a_key_stays_without_its_run(patch: Patch) -> None:
    _statement(patch, "DELETE_IDEMPOTENT")


def a_past_run_stays(patch: Patch) -> None:
    _statement(patch, "DELETE_PAST_RUNS")


def what_was_pruned_is_forgotten_before_it_is_erased(patch: Patch) -> None:
    retention = module("storage.sqlite.retention")
    real = retention._erase

    def erase(connection: Any, erasure: Any) -> None:
        real(connection, replace(erasure, rows_max=1))
        connection.execute(retention.sql.DELETE_PRUNED_RUN, (erasure.run.run_id,))

    patch.setattr(retention, "_erase", erase)


def one_event_too_many_is_erased(patch: Patch) -> None:
    retention = module("storage.sqlite.retention")
    real = retention._erase
    patch.setattr(
        retention, "_erase", lambda c, e: real(c, replace(e, run=replace(e.run, seq=e.run.seq + 1), rows_max=100))
    )


def the_thread_forgets_where_it_was_cut(patch: Patch) -> None:
    prune = module("core.decide.prune")
    real = prune._without
    patch.setattr(prune, "_without", lambda job, cut: replace(real(job, cut), pruned_hash=bytes(32)))


def a_thread_that_has_gone_begins_anew(patch: Patch) -> None:
    fold = module("core.fold")
    real = fold._created

    def created(job: Any, *more: Any) -> Any:
        made = real(job, *more)
        return replace(made, pruned_runs=0) if job is not None and job.is_pruned else made

    patch.setattr(fold, "_created", created)


def a_worker_that_holds_a_lease_is_forgotten(patch: Patch) -> None:
    forget = module("core.decide.forget")
    real = forget.forget_worker
    decide = module("core.decide")

    def any_worker(facts: Any, command: Any, stamp: Any) -> Any:
        row = facts.worker(command.worker_key, stamp.now_ms)
        facts.counters.workers[command.worker_key] = replace(row, leased=0, last_seen_ms=0, session_ms=0, granted_ms=0)
        try:
            return real(facts, command, stamp)
        finally:
            facts.counters.workers[command.worker_key] = row

    patch.setattr(decide, "forget_worker", any_worker)
    patch.setattr(Roster, "let_go", lambda self, key, before_ms: True)
    sql = module("storage.sqlite.retention_statements")
    patch.setattr(sql, "OLD_WORKERS", sql.OLD_WORKERS.replace("leased = 0 AND last_seen_ms < :before_ms", "1"))


def an_audit_chain_loses_more_than_its_anchor_says(patch: Patch) -> None:
    sql = module("storage.sqlite.retention_statements")
    patch.setattr(sql, "DELETE_AUDIT", "DELETE FROM runtime_audit_log WHERE chain_id = ? AND seq <= ? + 1")


BUGS = [
    bug(the_source_of_a_kept_replay_goes, "I8", seed=5),
    bug(a_dead_letter_that_nobody_has_seen_goes, "I15", seed=5),
    bug(a_run_goes_before_its_time, "I15", seed=5),
    bug(nothing_ever_goes, "L1"),
    bug(a_thread_is_cut_where_it_was_a_pass_ago, "bug", "I11", "I15"),
    bug(a_claim_stays_without_its_run, "I8", seed=5),
    bug(a_claim_goes_without_its_run, "I8", "I23", seed=5),
    bug(a_key_stays_without_its_run, "I9"),
    bug(a_past_run_stays, "I15"),
    bug(what_was_pruned_is_forgotten_before_it_is_erased, "I11", "I10", "I13"),
    bug(one_event_too_many_is_erased, "I10", "I11"),
    bug(the_thread_forgets_where_it_was_cut, "I11"),
    bug(a_thread_that_has_gone_begins_anew, "I11"),
    bug(a_worker_that_holds_a_lease_is_forgotten, "I20"),
    bug(an_audit_chain_loses_more_than_its_anchor_says, "I17"),
]


@pytest.mark.parametrize("planted", BUGS, ids=name_of)
def test_a_bug_planted_into_retention_is_found(planted: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(RULES, monkeypatch)
    assert_found(planted, monkeypatch, SEEDS)
