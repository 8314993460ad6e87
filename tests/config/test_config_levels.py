"""The filter for log lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.config import LogLevels, parse_levels
from oris.config.levels import DEBUG, ERROR, INFO, OFF, WARNING


def test_a_level_and_modules_with_levels() -> None:
    assert parse_levels("warn,oris.engine=debug, oris.api = OFF") == LogLevels(
        WARNING, (("oris.engine", DEBUG), ("oris.api", OFF))
    )


def test_what_is_not_mentioned_is_info() -> None:
    assert parse_levels("oris.engine=trace").default == INFO


def test_the_last_of_two_counts() -> None:
    assert parse_levels("warn,a=info,error,a=debug") == LogLevels(ERROR, (("a", DEBUG),))


def test_the_longest_prefix_made_of_whole_names_decides_whatever_the_order() -> None:
    for text in ("error,oris=info,oris.engine=debug", "oris.engine=debug,oris=info,error"):
        levels = parse_levels(text)
        assert levels.threshold("oris.engine.sweeper") == DEBUG
        assert levels.threshold("oris.engine") == DEBUG
        assert levels.threshold("oris.engineering") == INFO
        assert levels.threshold("hypercorn") == ERROR
        assert levels.threshold("") == ERROR


@pytest.mark.parametrize("text", ["", ",", "info,", "oris.engine", "oris..engine=info", "oris=", "=info", "a=b=info"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="LEVEL and MODULE=LEVEL"):
        parse_levels(text)


_LEVEL = st.sampled_from([DEBUG, INFO, WARNING, ERROR, OFF])


@given(_LEVEL, st.dictionaries(st.from_regex(r"[a-z_]{1,5}(\.[a-z]{1,5}){0,2}", fullmatch=True), _LEVEL))
def test_what_is_printed_can_be_read(default: int, modules: dict[str, int]) -> None:
    levels = LogLevels(default, tuple(modules.items()))
    assert parse_levels(str(levels)) == levels
