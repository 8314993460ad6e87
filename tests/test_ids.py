from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oris import ids
from oris.core.stamp import Stamp
from oris.ids import SeedSource, TenantId

NUMBERS = st.integers(0, 2**128 - 1)


@settings(derandomize=True)
@given(NUMBERS, st.integers(0, 2**48 - 1), st.integers(0, 2**40))
def test_whoever_names_an_attempt_or_a_lease_has_named_the_run(number: int, fence: int, salt: int) -> None:
    run = ids.run_id(number)
    assert ids.run_of(ids.attempt_of(run)) == run
    assert ids.run_of_lease(ids.lease_id(run, fence, salt)) == run


@settings(derandomize=True)
@given(NUMBERS, NUMBERS)
def test_run_ids_sort_like_their_numbers(a: int, b: int) -> None:
    assert (ids.run_id(a) < ids.run_id(b)) == (a < b)


@settings(derandomize=True)
@given(st.text(max_size=60))
def test_what_is_no_id_names_no_run(text: str) -> None:
    assert ids.run_of(text) is None
    assert ids.run_of_lease(text) is None
    assert ids.checkpoint_of(text) is None


@settings(derandomize=True)
@given(NUMBERS, st.integers(1, 10**18 - 1))
def test_a_checkpoint_names_its_run_and_its_event(number: int, seq: int) -> None:
    run = ids.run_id(number)
    assert ids.checkpoint_of(ids.checkpoint_id(run, seq)) == (run, seq)


@pytest.mark.parametrize(
    "nearly",
    ["ckp_" + "0" * 32, "ckp_" + "0" * 32 + "_", "ckp_" + "0" * 32 + "_01", "chk_" + "0" * 32 + "_1", "ckp__1"],
)
def test_what_is_almost_a_checkpoint_names_none(nearly: str) -> None:
    assert ids.checkpoint_of(nearly) is None


@pytest.mark.parametrize(
    "nearly",
    ["", "att_", "att_" + "0" * 31, "att_" + "0" * 33, "att_" + "A" * 32, "run_" + "0" * 32, "att_" + "٣" * 32],
)
def test_what_is_nearly_an_attempt_is_none(nearly: str) -> None:
    assert ids.run_of(nearly) is None


@pytest.mark.parametrize("nearly", ["lse_" + "0" * 51, "lse_" + "0" * 53, "att_" + "0" * 52, "lse_" + "g" * 52])
def test_what_is_nearly_a_lease_is_none(nearly: str) -> None:
    assert ids.run_of_lease(nearly) is None


@pytest.mark.parametrize("seq", ["", "0", "01", "-1", "+1", "1_0", "1.0", " 1", "٣", "1" * 19, "x"])
def test_what_is_nearly_a_checkpoint_is_none(seq: str) -> None:
    digits = "0" * 32
    assert ids.checkpoint_of(f"ckp_{digits}_1") is not None
    for nearly in (
        f"ckp_{digits}_{seq}",
        f"ckp_{digits[1:]}_1",
        f"run_{digits}_1",
        f"ckp_{'G' * 32}_1",
        f"ckp_{digits}",
    ):
        assert ids.checkpoint_of(nearly) is None


def test_keys_of_different_tenants_differ() -> None:
    thread = ids.ThreadId("t")
    assert ids.job_key(TenantId(""), thread) != ids.job_key(TenantId("a"), thread)
    assert ids.idempotency_key(TenantId("a"), "b/c") == "a/b/c"
    assert ids.worker_of(ids.worker_key(TenantId("a"), ids.WorkerId("w"))) == "w"


@settings(derandomize=True)
@given(st.lists(st.integers(0, 2**42), min_size=2, max_size=50))
def test_seeds_rise_strictly_even_when_the_clock_does_not(times: list[int]) -> None:
    source = SeedSource(random.Random(0))
    seeds = [source.next(now_ms) for now_ms in times]
    assert all(a < b for a, b in itertools.pairwise(seeds))
    assert all(seed % 2**16 == 0 for seed in seeds)
    assert max(seeds) < 2**128


def test_more_seeds_than_a_millisecond_holds_go_on_in_the_next() -> None:
    source = SeedSource(random.Random(0))
    source.next(7)
    source._sequence = 2**20 - 1
    last = source.next(7)
    assert last >> 80 == 8
    assert source.next(7) > last
    assert source.next(9) >> 80 == 9


def test_a_stamp_with_the_same_seed_gives_the_same_ids_and_chances() -> None:
    a, b = Stamp(5, 9 << 16), Stamp(5, 9 << 16)
    assert [a.run_id(), a.bits(), a.fraction(), a.turn()] == [b.run_id(), b.bits(), b.fraction(), b.turn()]
    assert a.run_id() != a.run_id()


def test_fractions_lie_between_nought_and_one_and_are_spread() -> None:
    source = SeedSource(random.Random(0))
    fractions = [Stamp(0, source.next(1_700_000_000_000)).fraction() for _ in range(2_000)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    counts = [sum(tenth / 10 <= f < (tenth + 1) / 10 for f in fractions) for tenth in range(10)]
    assert min(counts) > 150
    assert max(counts) < 250


def test_turns_fit_the_integers_of_a_database_and_rise_from_seed_to_seed() -> None:
    source = SeedSource(random.Random(0))
    turns = [Stamp(0, source.next(now_ms)).turn() for now_ms in (1_700_000_000_000, 1_700_000_000_000, 2**42)]
    assert turns == sorted(set(turns))
    assert max(turns) < 2**63
