"""What an agent's process prints without an end leaves its worker's event loop to others."""

import asyncio
import logging
import os
import socket
import time
from typing import Any

import pytest

from pavo.agents.hosts.child_process import ChildProcess, Output
from pavo.agents.output import send_output_to


async def test_a_piece_of_output_is_worked_off_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    taken: list[str] = []
    send_output_to(taken.append)
    output = Output("agent")
    began = time.thread_time()
    output.data_received(b"\n" * 262_144 + b"rest")
    output.connection_lost(None)
    assert time.thread_time() - began < 0.25
    assert taken == ["\n" * 262_144, "rest\n"]
    assert len(caplog.records) == 200


class _Transport:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda: self.asked.append(name)


async def test_who_prints_too_much_waits_a_moment() -> None:
    output, transport = Output("agent"), _Transport()
    output.connection_made(transport)  # type: ignore[arg-type]
    output.data_received(b"x" * 1000)
    assert transport.asked == []
    output.data_received(b"x" * 600_000)
    assert transport.asked == ["pause_reading"]
    transport.is_closing = lambda: False  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        while transport.asked != ["pause_reading", "resume_reading"]:
            await asyncio.sleep(0.01)


@pytest.mark.fault
async def test_neighbours_of_an_endless_printer_have_their_turns() -> None:
    ours, theirs = socket.socketpair()
    taken: list[str] = []
    send_output_to(lambda text: taken.append(text[:1]))
    with ours, theirs:
        child = ChildProcess.spawn(["/bin/sh", "-c", "yes ''"], theirs, {"PATH": os.environ["PATH"]}, "agent")
        turns, deadline = 0, time.monotonic() + 2
        while time.monotonic() < deadline:
            await asyncio.sleep(0.002)
            turns += 1
        child.kill()
        await child.ended
    assert taken and turns > 100  # it were 3, when each line was worked off for itself
