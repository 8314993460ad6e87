"""Counters, gauges and histograms with labels, their children bound once; and a registry without extras.

prometheus-client looks a labelled child up under a lock and turns each label into text again at every use.
Here a child is made once per combination of labels and found by one dictionary access.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

M = TypeVar("M", bound=MetricWrapperBase)


class Registry(CollectorRegistry):
    """One server's metrics, without the `_created` times that the client adds to each series."""

    def __init__(self) -> None:
        super().__init__(auto_describe=False)

    def collect(self) -> Iterable[Metric]:
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class Family(Generic[M]):
    """A metric with labels; calling it with their values, in order, gives the child.

    Values come from the program, never from a caller of the API: each combination is kept for good.
    """

    def __init__(self, metric: M) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], M] = {}

    def __call__(self, *labels: str) -> M:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


Labels = Mapping[str, str]
"""Each label's name, in order, with its values for the reference page."""
_NONE: Labels = {}


@dataclass(frozen=True)
class Declared:
    """A metric as docs/metrics.md shows it."""

    section: str
    kind: Literal["counter", "gauge", "histogram"]
    name: str
    unit: str
    """What one stands for, such as `ms` or `jobs`."""
    doc: str
    """What is measured. Prometheus shows it as the metric's help."""
    advice: str
    """When it matters, and what to do then."""
    labels: Labels = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


class Maker:
    """Declares metrics in a registry, and keeps the declarations. `section` is the heading on the reference page.

    Labels are given as keywords, in order: the name of each, and its values for the page.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.section = ""
        self.declared: list[Declared] = []

    def counter(self, name: str, unit: str, doc: str, advice: str) -> Counter:
        """A count that only rises while the server runs."""
        self.declared.append(Declared(self.section, "counter", name, unit, doc, advice))
        return Counter(name, doc, registry=self._registry)

    def counters(self, name: str, unit: str, doc: str, advice: str, /, **labels: str) -> Family[Counter]:
        """A count for each combination of labels."""
        self.declared.append(Declared(self.section, "counter", name, unit, doc, advice, labels))
        return Family(Counter(name, doc, tuple(labels), registry=self._registry))

    def gauge(self, name: str, unit: str, doc: str, advice: str) -> Gauge:
        """A value that rises and falls."""
        self.declared.append(Declared(self.section, "gauge", name, unit, doc, advice))
        return Gauge(name, doc, registry=self._registry)

    def gauges(self, name: str, unit: str, doc: str, advice: str, /, **labels: str) -> Family[Gauge]:
        """A value for each combination of labels."""
        self.declared.append(Declared(self.section, "gauge", name, unit, doc, advice, labels))
        return Family(Gauge(name, doc, tuple(labels), registry=self._registry))

    def histogram(self, name: str, unit: str, doc: str, advice: str, buckets: Sequence[float]) -> Histogram:
        """Counts of observations by size. `buckets` are their upper bounds."""
        self.declared.append(Declared(self.section, "histogram", name, unit, doc, advice, _NONE, tuple(buckets)))
        return Histogram(name, doc, registry=self._registry, buckets=buckets)

    def histograms(
        self, name: str, unit: str, doc: str, advice: str, buckets: Sequence[float], /, **labels: str
    ) -> Family[Histogram]:
        """A histogram for each combination of labels."""
        self.declared.append(Declared(self.section, "histogram", name, unit, doc, advice, labels, tuple(buckets)))
        return Family(Histogram(name, doc, tuple(labels), registry=self._registry, buckets=buckets))
