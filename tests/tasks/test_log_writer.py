"""What waits for the log is bounded, whatever prints, and from wherever."""

import gc
import threading
import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pavo.tasks.work.log_writer import BURST_BYTES, LogWriter


def _writer() -> LogWriter:
    return LogWriter(cast(Any, None))  # not started: nothing is written


def test_what_is_left_out_takes_no_room() -> None:
    writer = _writer()
    take = writer.sink(uuid.uuid4(), 1)
    take("x" * BURST_BYTES)
    for _ in range(10_000):
        take("y" * 100)
    [output] = cast(Any, writer)._outputs.values()
    assert len(output.waiting) < 1000 and output.left_out > 100_000


@pytest.fixture
def _eager_collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_eager_collector")
def test_what_is_collected_meanwhile_may_print_too() -> None:
    """As clients do that were not closed, or asyncio of an exception that nobody has read."""
    writer, done = _writer(), threading.Event()

    class Loud:
        def __init__(self, number: int) -> None:
            self.itself, self.number = self, number

        def __del__(self) -> None:
            writer.sink(uuid.UUID(int=self.number), 2)(f"unclosed {self.number}\n")

    def print_much() -> None:
        for number in range(2000):
            Loud(number)
            writer.sink(uuid.UUID(int=number), 1)("x")
        done.set()

    gc.set_threshold(3)
    threading.Thread(target=print_much, daemon=True).start()
    assert done.wait(15), "it waits for itself"
    gc.collect()
    chunks = cast(Any, writer)._taken()
    assert sum(chunk.body.startswith("unclosed") for chunk in chunks) == 2000
