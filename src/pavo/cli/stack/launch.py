"""Starting a stack of this machine: it stays in the foreground, or goes on in the background."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pavo.cli.output import say, waiting
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.logs import tail
from pavo.deploy.local.stack import LocalStack, make_directory
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.settings_plan import keep, plan_settings
from pavo.deploy.model.state import StackState, read, refuse_running
from pavo.errors import Unavailable
from pavo.kit import cancellation

START_SECONDS = 120.0
STOP_SECONDS = 40.0
FORCED = 130
STARTING = "starting the stack …"


def ready_line(shown: Console) -> Callable[[str, float], None]:
    """Prints a line for each part that gets ready."""
    return lambda name, seconds: shown.print(Text.assemble(("✓", "green"), f" {name:<12} {seconds:5.1f} s"))


def begin_with_settings(layout: Layout, shown: Console) -> None:
    """Keep this shell's settings at the first start, and say where it differs from what is kept later.

    Raises:
        ConfigurationError: a setting is wrong, or what is kept cannot be read.
        Conflict: somebody changes the settings at this moment.
    """
    plan = plan_settings(layout, os.environ)
    make_directory(layout)
    keep(layout, plan)
    for line in [*plan.changes(), *plan.notes()]:
        say(f"Settings: {line}", to=shown)


@dataclass(frozen=True, slots=True)
class StackLaunch:
    """A stack that is to be started: how in the foreground, and how in the background."""

    folder: Path
    """Its data directory."""
    stack: Callable[[], LocalStack]
    """Makes it, for the foreground."""
    command: Sequence[str]
    """The words of the `pavo` that runs the same stack in its foreground, for the background."""
    seconds: float = START_SECONDS
    """How long a start in the background may take."""
    beside: Callable[[LocalStack], Coroutine[None, None, None]] | None = None
    """What is done while it runs, in its foreground."""


def launch(wanted: StackLaunch, ready: Callable[[StackState], None], shown: Console, *, detach: bool) -> int:
    """Start it, and call `ready` once it is.

    Args:
        detach: return then; else go on until SIGINT or SIGTERM, as `run_in_foreground` does.

    Returns: the exit code.

    Raises:
        Conflict: a stack runs there already.
        Unavailable: it did not start; the end of its log is told.
    """
    if not detach:
        return asyncio.run(run_in_foreground(wanted.stack(), ready, shown, wanted.beside))
    ready(start_in_background(wanted.command, wanted.folder, shown, wanted.seconds))
    return 0


async def run_in_foreground(
    stack: LocalStack,
    ready: Callable[[StackState], None],
    shown: Console,
    beside: Callable[[LocalStack], Coroutine[None, None, None]] | None = None,
) -> int:
    """Start the stack, call `ready`, do `beside`, and drain it at SIGINT or SIGTERM; a second one forces.

    Returns:
        The exit code.
    """
    loop = asyncio.get_running_loop()
    stopping, forced = asyncio.Event(), asyncio.Event()

    def interrupted() -> None:
        (forced if stopping.is_set() else stopping).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    with waiting(shown, STARTING):
        starting = asyncio.create_task(stack.start())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return FORCED
    await starting
    ready(stack.supervisor.describe())
    doing = asyncio.create_task(beside(stack)) if beside else None
    await stop
    if doing is not None:
        await cancellation.end(doing)
    shown.print("Stopping: the work in hand is recorded first. Ctrl-C again forces.")
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


def start_in_background(command: Sequence[str], folder: Path, shown: Console, seconds: float) -> StackState:
    """Start a command of ours in a session of its own, and wait for its stack; prints what the foreground does.

    Raises:
        Conflict: a stack runs there already.
        Unavailable: it did not start; the end of its log is told.
    """
    refuse_running(folder)
    layout = Layout(folder)
    make_directory(layout)
    take_lock(layout).close()  # a stack that is just starting has no state yet
    log = layout.log("supervisor")
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "pavo.cli.main", *command],
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    with waiting(shown, STARTING), _ended_unless_started(child):
        return _until_started(child, layout, ready_line(shown), seconds)


@contextlib.contextmanager
def _ended_unless_started(child: "subprocess.Popen[bytes]") -> Generator[None]:
    """End the child unless the caller was told that it runs: after Ctrl-C too, nothing goes on in the background."""
    try:
        yield
    except BaseException:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECONDS)
        raise


def _until_started(
    child: "subprocess.Popen[bytes]", layout: Layout, on_ready: Callable[[str, float], None], seconds: float
) -> StackState:
    begun, told = time.monotonic(), set[str]()
    while (elapsed := time.monotonic() - begun) < seconds:
        state = read(layout.root)
        if state is not None and state.supervisor.pid == child.pid:
            for part in state.parts:
                if part.state == "ready" and part.name not in told:
                    told.add(part.name)
                    on_ready(part.name, elapsed)
            if state.ready:
                return state
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.05)
            break
    log = layout.log("supervisor")
    raise Unavailable(f"The stack did not start, its log is {log}:\n" + "\n".join(tail(log, 12)), dependency="stack")
