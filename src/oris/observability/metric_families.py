"""Counters, gauges and histograms with labels, their children bound once; and a registry without extras.

prometheus-client looks a labelled child up under a lock and turns each label into text again at every use.
Here a child is made once per combination of labels and found by one dictionary access.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

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


class Maker:
    """Declares metrics in a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def counter(self, name: str, doc: str) -> Counter:
        return Counter(name, doc, registry=self._registry)

    def counters(self, name: str, doc: str, *labels: str) -> Family[Counter]:
        return Family(Counter(name, doc, labels, registry=self._registry))

    def gauge(self, name: str, doc: str) -> Gauge:
        return Gauge(name, doc, registry=self._registry)

    def gauges(self, name: str, doc: str, *labels: str) -> Family[Gauge]:
        return Family(Gauge(name, doc, labels, registry=self._registry))

    def histogram(self, name: str, doc: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, doc, registry=self._registry, buckets=buckets)

    def histograms(self, name: str, doc: str, buckets: Sequence[float], *labels: str) -> Family[Histogram]:
        return Family(Histogram(name, doc, labels, registry=self._registry, buckets=buckets))
