"""Meters in Prometheus' text format. Imported only when /metrics is first asked for."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pavo import __version__
from pavo.observe.meters import Counter, Gauge, Histogram, Meter

BUILD_INFO: Final = "pavo_build_info"


class _Meters(Collector):
    def __init__(self, meters: Sequence[Meter], role: str) -> None:
        self._meters = meters
        self._role = role

    def collect(self) -> Iterable[Metric]:
        build = GaugeMetricFamily(BUILD_INFO, "Which build this is.", labels=("version", "part"))
        build.add_metric((__version__, self._role), 1)
        yield build
        for meter in self._meters:
            yield _family(meter)


def _family(meter: Meter) -> Metric:
    if isinstance(meter, Histogram):
        histogram = HistogramMetricFamily(meter.name, meter.text, labels=meter.labels)
        bounds = [*(str(bound) for bound in meter.buckets), "+Inf"]
        for labels, found in list(meter.values.items()):
            histogram.add_metric(labels, list(zip(bounds, accumulate(found.counts), strict=True)), found.sum)
        return histogram
    assert isinstance(meter, Counter | Gauge)
    kind = CounterMetricFamily if isinstance(meter, Counter) else GaugeMetricFamily
    family = kind(meter.name, meter.text, labels=meter.labels)
    for labels, value in list(meter.values.items()):
        family.add_metric(labels, value)
    return family


class Exposition:
    """The page of one process.

    Args:
        role: api or worker.
    """

    def __init__(self, role: str, meters: Sequence[Meter]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Meters(meters, role))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The current values."""
        return generate_latest(self._registry)
