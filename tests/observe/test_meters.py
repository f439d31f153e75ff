"""Counting: right from two threads at once, and into the right bucket."""

import sys
import threading

from pavo.observe.meters import Counter, Gauge, Histogram


def test_two_event_loops_lose_no_count() -> None:
    counter, gauge = Counter("c", "", ("what",)), Gauge("g", "")
    histogram = Histogram("h", "", buckets=(1.0, 2.0))

    def count() -> None:
        for _ in range(50_000):
            counter.add("x")
            gauge.add(by=2)
            histogram.observe(1.5)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert counter.values == {("x",): 200_000} and gauge.values == {(): 400_000}
    assert histogram.values[()].counts == [0, 200_000, 0] and histogram.values[()].sum == 300_000


def test_histograms_count_into_the_right_bucket() -> None:
    histogram = Histogram("h", "", buckets=(1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.5):
        histogram.observe(value)
    assert histogram.values[()].counts == [2, 1, 1] and histogram.values[()].sum == 5.5


def test_what_is_replaced_is_gone() -> None:
    gauge = Gauge("g", "", ("stage",))
    gauge.set(1, "DONE")
    gauge.replace({("FAILED",): 2})
    assert gauge.values == {("FAILED",): 2}


def test_known_labels_begin_at_zero() -> None:
    assert Counter("c", "", ("died",), (("worker",), ("agent",))).values == {("worker",): 0, ("agent",): 0}
    assert Counter("c", "", ("route",)).values == {} and Counter("c", "").values == {(): 0}
