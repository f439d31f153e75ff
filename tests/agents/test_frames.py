"""A child that does not keep to the frames fails its own task within seconds, and costs its worker bounded memory."""

import asyncio
import contextlib
import json
import os
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from typing import Any, NoReturn, cast

import psutil
import pytest
from sample_agents import Sample

from conftest import PLAN, opened
from pavo.agents.contract import JSON, AgentContext, Plan, Step
from pavo.agents.hosts import wire
from pavo.agents.hosts.agent_host import HostLimits
from pavo.errors import AgentDied, AgentRefused

LIMITS = HostLimits(memory_mb=512, silence_seconds=2.0, start_seconds=30, close_seconds=1.0)
MIB = 1024 * 1024


def framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class Rude(Sample):
    """Uses the connection to the worker in the step after the first."""

    name = "rude"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield Step({"pid": os.getpid()})
        what = ctx.options["what"]
        if what in _NEVER_ENDING:
            threading.Thread(target=_write_for_ever, args=(_NEVER_ENDING[what],), daemon=True).start()
        elif what == "never reads":
            self._lose_input()
        elif what in _ONCE:
            threading.Thread(target=_write, args=(_ONCE[what],), daemon=True).start()
        await asyncio.sleep(3600)

    def _lose_input(self) -> None:
        """The event loop goes on, and asks without an end, but what comes is not read."""
        cast(Any, asyncio.get_running_loop())._remove_reader(int(sys.argv[2]))
        threading.Thread(target=_write_for_ever, args=(_NEVER_ENDING["questions"],), daemon=True).start()


class Curious(Sample):
    """Asks more at once than may be under way, and once more than may be sent."""

    name = "curious"

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        impatient = [asyncio.create_task(ctx.corpus.search("slow")) for _ in range(200)]
        await asyncio.sleep(0)
        for task in impatient:
            task.cancel()
        hits = await asyncio.gather(*(ctx.corpus.search(str(n)) for n in range(1000)))
        yield Step([found[0].title for found in hits])
        try:
            await ctx.corpus.search("x" * (wire.MAX_TO_WORKER + 1))
        except AgentRefused as error:
            yield Step(error.detail)
        yield Step("\0\x01\udcff\n".replace("\0", "").replace("\udcff", "\u2028") * 10)


_PONG = framed(b'{"op":"pong"}')
_QUESTION = framed(b'{"op":"search","id":1,"query":"q","limit":1}')
_NEVER_ENDING = {
    "pongs": _PONG * 1000,
    "questions": _QUESTION * 1000,
    "zeros": b"\0" * MIB,
    "lines": b'{"op":"pong"}\n' * 1000,
    "large": framed(b'{"op":"pong","x":"' + b"x" * (wire.MAX_TO_WORKER - 20) + b'"}'),
}
_ONCE = {
    "giant": b"\xff\xff\xff\xff" + b"x" * MIB,
    "one more": struct.pack(">I", wire.MAX_TO_WORKER + 1) + b"x" * MIB,
    "half": struct.pack(">I", wire.MAX_TO_WORKER) + b'{"op":"done"',
    "deep": framed(b"[" * 2 * MIB),
    "lists": framed(b'{"op":"done","value":[' + b"[]," * (8 * MIB - 100) + b"1]}"),
    "fewer lists": framed(b'{"op":"pong","value":[' + b"[]," * 2_900_000 + b"1]}"),
    "list": framed(b"[1]"),
    "utf-16": framed(json.dumps({"op": "pong"}).encode("utf-16")),
    "no op": framed(b"{}"),
    "other answer": framed(b'{"op":"done","id":99,"value":null}'),
    "ready again": framed(b'{"op":"ready","value":null}'),
    "wrong step": framed(b'{"op":"done","id":3,"value":[1]}'),
    "wrong question": framed(b'{"op":"search","id":1,"query":7,"limit":1}'),
}


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        with contextlib.suppress(BlockingIOError):
            rest = rest[os.write(int(sys.argv[2]), rest) :]


def _write_for_ever(data: bytes) -> NoReturn:
    while True:
        _write(data)


@contextlib.contextmanager
def watched_memory() -> Generator[list[int]]:
    """How much more this process had at most, in bytes."""
    process, ended, most = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def watch() -> None:
        while not ended.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


@pytest.mark.fault
@pytest.mark.parametrize("what", [*_NEVER_ENDING, *_ONCE, "never reads"])
async def test_a_child_that_does_not_keep_to_the_frames(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pavo.agents.hosts.process_host._FRAME_SECONDS", 3.0)
    patient = replace(LIMITS, silence_seconds=60)  # reading millions of lists holds this process up on a busy machine
    async with (
        opened("process", Rude, LIMITS, what=what) as host,
        opened("process", Sample, patient, n=10**6) as neighbour,
    ):
        await host.open(PLAN, None)
        await host.next_step()
        await neighbour.open(PLAN, None)
        await neighbour.next_step()
        began = time.monotonic()
        with watched_memory() as most:
            dying = asyncio.create_task(host.next_step())
            steps = 0
            while not dying.done():
                assert await neighbour.next_step() is not None
                steps += 1
            with pytest.raises(AgentDied) as caught:
                await dying
        print(f"\n{what}: {caught.value.detail!r} after {time.monotonic() - began:.2f} s, {most[0] / MIB:.0f} MiB more")
        assert caught.value.remedy
        assert time.monotonic() - began < 60, "2 s on a machine that does nothing else"
        assert most[0] < 400 * MIB


async def test_an_agent_that_asks_a_lot_at_once_waits_its_turn() -> None:
    async with opened("process", Curious, LIMITS) as host:
        await host.open(PLAN, None)
        step = await host.next_step()
        assert step is not None and step.checkpoint == [f"{n}/10" for n in range(1000)]
        step = await host.next_step()
        assert step is not None and "too many to pass" in step.checkpoint
        step = await host.next_step()
        assert step is not None and step.checkpoint == "\x01\u2028\n" * 10


async def test_a_call_that_is_too_large_is_refused_and_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_TO_AGENT", 20_000)
    async with opened("process", Sample, LIMITS, n=1) as host:
        with pytest.raises(AgentRefused, match="too many to pass") as caught:
            await host.open(PLAN, "x" * 20_000)
        assert caught.value.remedy
        await host.open(PLAN, None)
        assert await host.next_step() is not None


async def test_a_start_that_is_too_large_is_refused() -> None:
    async with opened("process", Sample, LIMITS, n="x" * wire.MAX_TO_AGENT) as host:
        with pytest.raises(AgentRefused, match="too many to pass"):
            await host.open(PLAN, None)
