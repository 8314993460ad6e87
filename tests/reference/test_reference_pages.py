"""The pages of docs/ that are made from the code: they are up to date, complete, and true."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from oris.core.events import Body
from oris.core.model import Status
from oris.observability.metric_families import Declared
from oris.observability.metric_table import MetricTable
from oris.reference.event_docs import documented
from oris.reference.event_states import UNCHANGED, states_after
from oris.reference.events_page import events_page, type_name
from oris.reference.metrics_page import metrics_page

from ..words import WORDS

DOCS = Path(__file__).parents[2] / "docs"
METRICS = MetricTable("1.2.3").declared
BODIES: tuple[type[Body], ...] = get_args(Body)


@pytest.mark.parametrize(("name", "page"), [("metrics.md", metrics_page), ("events.md", events_page)])
def test_a_page_is_what_the_code_says(name: str, page: Callable[[], str]) -> None:
    """`make docs` writes it."""
    assert (DOCS / name).read_text() == page()


def test_every_metric_that_is_served_is_on_the_page_with_its_help() -> None:
    table = MetricTable("1.2.3")
    served = {family.name: family for family in table.registry.collect()}
    assert len(served) == len(table.declared)
    for metric in table.declared:
        family = served[metric.name.removesuffix("_total")]
        assert (family.documentation, family.type) == (metric.doc, metric.kind), metric.name


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_says_in_whole_sentences_what_it_is_and_what_to_do(metric: Declared) -> None:
    for text in (metric.doc, metric.advice):
        assert re.fullmatch(r"[A-Z0-9`].*\.", text), text
        assert "|" not in text


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metrics_unit_is_that_of_its_name(metric: Declared) -> None:
    units = {"_ms": "ms", "_bytes": "bytes", "_seconds": "s", "_rate": "share, 0 to 1"}
    for ending, expected in units.items():
        assert not metric.name.removesuffix("_total").endswith(ending) or metric.unit == expected


def test_every_event_of_the_contract_is_on_the_page() -> None:
    assert {type_name(body) for body in BODIES} == WORDS["event"]
    assert set(re.findall(r"^### (\w+)$", events_page(), re.MULTILINE)) == WORDS["event"]


def test_every_field_of_an_event_has_a_meaning() -> None:
    for name, doc in documented().items():
        assert doc.when.endswith("."), name
        for field, meaning in doc.fields.items():
            assert meaning.endswith("."), (name, field)


def test_the_states_come_from_the_fold() -> None:
    found = {type_name(body): states_after(body) for body in BODIES}
    assert found["lease_granted"] == ["running"]
    assert found["suspended"] == found["wait_settled"] == ["suspended", "interrupted"]
    assert found["lease_expired"] == ["retry_backoff", UNCHANGED]
    assert found["step_recorded"] == [UNCHANGED]
    reached = {state for states in found.values() for state in states}
    assert reached == {*get_args(Status), UNCHANGED}
