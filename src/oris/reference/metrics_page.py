"""docs/metrics.md, made from the declarations of `oris.observability.metric_table`."""

from __future__ import annotations

from itertools import groupby

from oris.observability.metric_families import Declared
from oris.observability.metric_table import MetricTable


def metrics_page() -> str:
    """The page as Markdown: a table for each section."""
    sections = groupby(MetricTable("").declared, key=lambda metric: metric.section)
    return _PAGE.format(tables="\n".join(_table(title, list(metrics)) for title, metrics in sections))


def _table(title: str, metrics: list[Declared]) -> str:
    return f"## {title}\n\n{_HEAD}\n" + "".join(map(_row, metrics))


def _row(metric: Declared) -> str:
    labels = "<br>".join(f"`{name}`" + (f": {values}" if values else "") for name, values in metric.labels.items())
    kind = f"{metric.kind}, up to {max(metric.buckets):,}" if metric.buckets else metric.kind
    return f"| `{metric.name}` | {kind} | {labels} | {metric.unit} | {metric.doc} | {metric.advice} |\n"


_HEAD = "| metric | type | labels | unit | what it is | when it matters, and what to do |\n|---|---|---|---|---|---|"
_PAGE = """\
# Metrics

This page is printed by `python -m oris reference metrics` from `src/oris/observability/metric_table.py`.

`GET /metrics` returns these in Prometheus' text format, without credentials. `ORIS_METRICS_ADDR` serves them on a
second address too. Names and labels are part of the API.

- A **counter** starts at 0 with the process and only rises: use `rate()` or `increase()`.
- A **gauge** is a current value. The gauges of jobs, leases and dead letters are read from the database every 5 s.
- A **histogram** has the series `…_bucket` with the label `le`, `…_sum` and `…_count`. Its highest bound is in the
  table.
- A series with labels appears when it is first counted. `oris_runtime_terminal_acks_total` and
  `oris_runtime_submits_total` are there from the start.

{tables}"""
