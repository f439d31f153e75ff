"""Meters as plain numbers: counting costs an addition, whether anybody looks or not; `exposition` reads them.

A worker's two event loops are threads, and both count. No lock is taken: `x[key] += 1` on the types used here calls
nothing between reading and writing, and the interpreter changes threads at calls and loops only.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar

Labels = tuple[str, ...]


class Meter:
    """What all kinds have.

    Args:
        name: as Prometheus shows it, with its unit.
        text: what it means, one sentence.
        labels: their names; values are given in this order.
        known: label values that are there from the start, at 0, so that the first event shows as a rise from 0, not as
        a new series.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), known: Sequence[Labels] = ()) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self.known: Sequence[Labels] = known if labels else ((),)


class Counter(Meter):
    """Only ever rises."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), known: Sequence[Labels] = ()) -> None:
        super().__init__(name, text, labels, known)
        self.values = defaultdict[Labels, float](float, dict.fromkeys(self.known, 0.0))

    def add(self, *labels: str, by: float = 1) -> None:
        """Count."""
        self.values[labels] += by


class Gauge(Meter):
    """Rises and falls."""

    kind = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), known: Sequence[Labels] = ()) -> None:
        super().__init__(name, text, labels, known)
        self.values = defaultdict[Labels, float](float, dict.fromkeys(self.known, 0.0))

    def add(self, *labels: str, by: float = 1) -> None:
        """Rise, or fall with a negative `by`."""
        self.values[labels] += by

    def set(self, value: float, *labels: str) -> None:
        """Show this value."""
        self.values[labels] = value

    def replace(self, values: Mapping[Labels, float]) -> None:
        """Show these values and no others; no values at all where they are no longer known."""
        self.values = defaultdict(float, values)


class Histogram(Meter):
    """Counts observations by their size.

    Args:
        buckets: upper bounds, rising; what is larger counts towards the sum and the count only.
    """

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> None:
        super().__init__(name, text, labels)
        self.buckets = tuple(buckets)
        self.values: dict[Labels, Distribution] = {labels: Distribution(len(buckets)) for labels in self.known}

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = Distribution(len(self.buckets))
        found.counts[bisect_left(self.buckets, value)] += 1
        found.sum += value


class Distribution:
    """Counts per bucket, not accumulated, the last for what is larger than all bounds; and the sum."""

    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.sum = 0.0
