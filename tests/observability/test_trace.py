"""Trace context, as the W3C defines it."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.observability.trace import Trace, read_traceparent, stored_trace

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


class Fixed:
    """Gives these numbers, one after the other."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = iter(numbers)

    def getrandbits(self, k: int, /) -> int:
        return next(self._numbers)


def test_a_header_is_the_callers_span_and_its_child_names_it_as_parent() -> None:
    caller = stored_trace(f"00-{TRACE}-{SPAN}-01")
    assert caller == Trace(TRACE, SPAN, None, 1)

    child = caller.child(Fixed(0xABC))
    assert child == Trace(TRACE, "0000000000000abc", SPAN, 1)
    assert child.traceparent == f"00-{TRACE}-0000000000000abc-01"


def test_only_the_sampled_bit_is_carried_on() -> None:
    assert stored_trace(f"00-{TRACE}-{SPAN}-ff").flags == 1
    assert stored_trace(f"00-{TRACE}-{SPAN}-fe").traceparent.endswith("-00")


@pytest.mark.parametrize("tail", ["", "-", "-anything else"])
def test_a_later_version_may_carry_more_and_is_answered_in_ours(tail: str) -> None:
    assert stored_trace(f"cc-{TRACE}-{SPAN}-01{tail}").traceparent == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}0-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
    ],
)
def test_what_is_malformed_is_none(header: str) -> None:
    assert read_traceparent(header) is None


def test_what_follows_the_four_fields_is_not_kept_in_memory() -> None:
    tracemalloc.start()
    try:
        for n in range(100):
            beginning = f"cc-{n:032x}-{SPAN}-01-"
            assert (read_traceparent(beginning + "x" * 60_000) is None) == (n == 0)
            assert read_traceparent(f"{n:x} no trace" + "x" * 60_000) is None
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 1_000_000


@given(st.text(max_size=70))
def test_any_other_text_is_none_and_breaks_nothing(header: str) -> None:
    assert read_traceparent(header) is None


@given(st.integers())
def test_what_is_written_can_be_read(seed: int) -> None:
    trace = Trace.new(Random(seed)).child(Random(seed + 1))
    read = stored_trace(trace.traceparent)
    assert (read.trace_id, read.span_id, read.flags) == (trace.trace_id, trace.span_id, trace.flags)


def test_a_fresh_id_is_never_all_zeros() -> None:
    assert Trace.new(Fixed(0, 0, 5, 0, 7)) == Trace(f"{5:032x}", f"{7:016x}", None, 1)
