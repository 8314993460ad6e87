"""Which broken connections are taken for dead workers: the brakes, against a plain statement of the rule."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from oris import ids
from oris.engine.watch import FRESH_GRACES, Session, Watch
from oris.ids import TenantId, WorkerId

GRACE_MS = 100
OLD_MS = FRESH_GRACES * GRACE_MS


def session(number: int) -> Session:
    return Session(ids.worker_key(TenantId(""), WorkerId(f"w{number}")), "s")


def watching(*numbers: int) -> Watch:
    """A node that is not fresh any more and watches these."""
    watch = Watch(GRACE_MS)
    watch.begin(0)
    for number in numbers:
        watch.stands(session(number))
    return watch


def breaks(watch: Watch, number: int, at_ms: int) -> None:
    """A connection breaks: its poll ends, then it is told."""
    watch.ends(session(number))
    watch.broke(session(number), at_ms)


def test_one_that_breaks_is_due_after_its_grace_and_told_once() -> None:
    watch = watching(1, 2, 3)
    breaks(watch, 1, OLD_MS)
    assert watch.next_due_ms() == OLD_MS + GRACE_MS
    assert watch.due(OLD_MS + GRACE_MS - 1) == []
    assert watch.due(OLD_MS + GRACE_MS) == [session(1)]
    assert watch.due(OLD_MS + GRACE_MS) == []


def test_of_a_fresh_node_nobody_is_due() -> None:
    watch = watching(1, 2, 3)
    breaks(watch, 1, OLD_MS - 1)
    assert watch.next_due_ms() is None


def test_more_than_half_that_break_together_are_excused_and_one_before_them_is_not() -> None:
    watch = watching(*range(8))
    breaks(watch, 0, OLD_MS)
    for number in range(1, 8):
        breaks(watch, number, OLD_MS + GRACE_MS)
    assert watch.due(OLD_MS + 3 * GRACE_MS) == [session(0)]


def test_half_that_break_together_are_due() -> None:
    watch = watching(*range(8))
    for number in range(4):
        breaks(watch, number, OLD_MS)
    assert watch.due(OLD_MS + GRACE_MS) == [session(number) for number in range(4)]


def test_one_that_is_parked_again_counts_once_among_the_watched() -> None:
    watch = watching(*range(4))
    breaks(watch, 0, OLD_MS)
    watch.heard(session(0).worker_key, "s")
    watch.stands(session(0))
    breaks(watch, 1, OLD_MS)
    assert watch.due(OLD_MS + GRACE_MS) == [session(1)], "two of four are no more than half"
    breaks(watch, 2, OLD_MS + GRACE_MS)
    breaks(watch, 3, OLD_MS + GRACE_MS)
    assert watch.due(OLD_MS + 2 * GRACE_MS) == [], "two of three are: the first is over"


def test_one_that_came_back_and_broke_again_counts_as_one_that_broke() -> None:
    watch = watching(*range(4))
    breaks(watch, 0, OLD_MS)
    watch.heard(session(0).worker_key, "s")
    watch.stands(session(0))
    breaks(watch, 0, OLD_MS + 1)
    breaks(watch, 1, OLD_MS + 1)
    assert watch.due(OLD_MS + 1 + GRACE_MS) == [session(0), session(1)], "two of four are no more than half"


def test_a_standstill_excuses_what_breaks_just_after_it() -> None:
    watch = watching(1, 2, 3)
    watch.held_up(OLD_MS)
    breaks(watch, 1, OLD_MS + GRACE_MS)
    assert watch.due(OLD_MS + 3 * GRACE_MS) == []


class Plain:
    """The rule as it is told, with no thought of what it costs."""

    def __init__(self) -> None:
        self.standing: dict[Session, int] = {}
        self.broken: dict[Session, int] = {}
        self.wave: dict[Session, int] = {}

    def breaks(self, each: Session, now_ms: int) -> None:
        if self.standing.get(each, 0):
            self.standing[each] -= 1
        standing = {one for one, polls in self.standing.items() if polls}
        if each in standing:
            return
        self.broken[each] = now_ms
        self.wave = {one: at_ms for one, at_ms in {**self.wave, each: now_ms}.items() if now_ms - at_ms < GRACE_MS}
        if len(self.wave) > 1 and 2 * len(self.wave) > len(standing | set(self.wave)):
            self.broken = {one: at_ms for one, at_ms in self.broken.items() if one not in self.wave}

    def due(self, now_ms: int) -> set[Session]:
        over = {one for one, at_ms in self.broken.items() if at_ms + GRACE_MS <= now_ms}
        self.broken = {one: at_ms for one, at_ms in self.broken.items() if one not in over}
        return over


STEPS = st.lists(
    st.tuples(st.sampled_from(["comes", "breaks", "ends", "due"]), st.integers(0, 4), st.integers(0, GRACE_MS // 2)),
    max_size=60,
)


@settings(max_examples=300)
@given(STEPS)
def test_it_follows_the_plain_rule_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    watch, plain, now_ms = watching(), Plain(), OLD_MS
    for what, number, later_ms in steps:
        each, now_ms = session(number), now_ms + later_ms
        if what == "comes":
            watch.heard(each.worker_key, each.name)
            plain.broken.pop(each, None)
            watch.stands(each)
            plain.standing[each] = plain.standing.get(each, 0) + 1
        elif what == "due":
            assert set(watch.due(now_ms)) == plain.due(now_ms)
        elif plain.standing.get(each, 0):
            if what == "breaks":
                breaks(watch, number, now_ms)
                plain.breaks(each, now_ms)
            else:
                watch.ends(each)
                plain.standing[each] -= 1
    assert set(watch.due(now_ms + GRACE_MS)) == plain.due(now_ms + GRACE_MS)
