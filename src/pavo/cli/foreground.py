"""Running a stack of this machine in the foreground, or starting the same in the background."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pavo.cli.output import console
from pavo.deploy.layout import Layout
from pavo.deploy.logs import tail
from pavo.deploy.stack import LocalStack, make_directory
from pavo.deploy.state import StackState, read, refuse_running
from pavo.errors import Unavailable

START_SECONDS = 120.0
FORCED = 130


def say_ready(name: str, seconds: float) -> None:
    """One line for each part."""
    console().print(f"[green]✓[/] {name:<12} {seconds:5.1f} s")


async def run(stack: LocalStack, ready: Callable[[], None]) -> int:
    """Start the stack, call `ready`, and drain it at SIGINT or SIGTERM; a second one forces.

    Returns:
        The exit code.
    """
    loop = asyncio.get_running_loop()
    stopping, forced = asyncio.Event(), asyncio.Event()

    def interrupted() -> None:
        (forced if stopping.is_set() else stopping).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    shown = console()
    with shown.status("Starting the stack …") if shown.is_terminal else contextlib.nullcontext():
        starting = asyncio.create_task(stack.start())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return FORCED
    await starting
    ready()
    await stop
    shown.print("Stopping: steps in flight are recorded first. Ctrl-C again forces.")
    return await _drain(stack, forced)


async def _drain(stack: LocalStack, forced: asyncio.Event) -> int:
    draining = asyncio.create_task(stack.stop())
    force = asyncio.create_task(forced.wait())
    await asyncio.wait({draining, force}, return_when=asyncio.FIRST_COMPLETED)
    if draining.done():
        force.cancel()
        await draining
        return 0
    stack.supervisor.kill_all()
    await draining
    return FORCED


def detach(arguments: Sequence[str], folder: Path, seconds: float = START_SECONDS) -> StackState:
    """Start a command of ours in a session of its own, and wait until its stack is ready.

    Raises:
        Conflict: a stack runs there already.
        Unavailable: it did not start; the end of its log is told.
    """
    refuse_running(folder)
    layout = Layout(folder)
    make_directory(layout)
    log = layout.log("supervisor")
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "pavo.cli.main", *arguments],
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return _until_started(child, folder, log, seconds)


def _until_started(child: "subprocess.Popen[bytes]", folder: Path, log: Path, seconds: float) -> StackState:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = read(folder)
        if state is not None and state.ready and state.supervisor.pid == child.pid:
            return state
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.05)
            break
    raise Unavailable(f"The stack did not start, its log is {log}:\n" + "\n".join(tail(log, 12)), dependency="stack")
