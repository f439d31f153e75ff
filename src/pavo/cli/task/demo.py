"""`pavo demo`: a task that survives the SIGKILL of its worker, on a stack that is thrown away afterwards."""

import contextlib
import logging
import shutil
import signal
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.types import PositiveInt
from rich.console import Console
from rich.text import Text

from pavo.cli.api_client import ApiClient
from pavo.cli.output import Output, Printer, waiting
from pavo.cli.task import render
from pavo.cli.task.client import TaskClient
from pavo.cli.task.follower import TaskFollower
from pavo.cli.task.progress import progress_view
from pavo.deploy.local.stack import EmbeddedStack, remove_data
from pavo.errors import AgentError
from pavo.kit.clock import now
from pavo.kit.extras import require
from pavo.kit.threads.loop import LoopInThread
from pavo.tasks.domain import DONE, WAIT_RFC
from pavo.tasks.schemas import TaskCreate, TaskOut
from pavo.timeline.schemas import EventOut

TITLE: Final = "Analyze churn drivers"
STEP_SECONDS: Final = 0.1
WORKER: Final = "worker-1"


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL."""

    pid: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Survival:
    """What the timeline proves about a run in which the worker was killed."""

    steps: int
    """How many steps the task has."""
    recorded: int
    once_in_order: bool
    """The checkpoints are 1, 2, … steps: each once, none missing."""
    events: int
    gapless: bool
    """The timeline's numbers are 1, 2, …"""
    recovered_at: int | None
    """The last checkpoint that was recorded when the run was taken up again."""
    went_on: bool
    """The checkpoint recorded next is the one after `recovered_at`."""
    seconds: float | None
    """From the SIGKILL to the next checkpoint."""
    done: bool

    @property
    def ok(self) -> bool:
        """Whether all of it holds."""
        return self.once_in_order and self.gapless and self.went_on and self.done


def survival(events: Sequence[EventOut], steps: int, killed_at: datetime, *, done: bool) -> Survival:
    """What a timeline proves.

    Args:
        events: all of them, oldest first.
        steps: how many the task has.
        killed_at: when its worker was killed.
        done: whether the task is DONE.
    """
    ticks = [_data(event)["step"] for event in events if event.type == "tick"]
    recovered = next((event for event in events if event.type == "recovered"), None)
    after = next((e for e in events if recovered and e.seq > recovered.seq and e.type == "tick"), None)
    step = _data(recovered)["step"] if recovered else None
    return Survival(
        steps=steps,
        recorded=len(ticks),
        once_in_order=ticks == list(range(1, steps + 1)),
        events=len(events),
        gapless=[event.seq for event in events] == list(range(1, len(events) + 1)),
        recovered_at=step,
        went_on=step is not None and after is not None and _data(after)["step"] == step + 1,
        seconds=round((after.at - killed_at).total_seconds(), 2) if after else None,
        done=done,
    )


def demo(
    *,
    steps: Annotated[PositiveInt, Parameter(help="Checkpoints of the task, a tenth of a second each.")] = 60,
    output: Output = "text",
) -> int:
    """Watch an agent task survive a killed worker: a whole stack with throw-away data, gone afterwards."""
    require("The embedded stack", "server", "embedded")
    # What the supervisor logs goes to its file; on the terminal the demo tells what happens.
    logging.getLogger("pavo").addHandler(logging.NullHandler())
    printer = Printer(output)
    out = render.page(stderr=printer.for_programs)
    out.print(Text.assemble("\n", ("Pavo", "bold cyan"), "  a task, and a worker that is killed in the middle of it\n"))
    folder = Path(tempfile.mkdtemp(prefix="pavo-demo-"))
    with _ending_on_sigterm():
        try:
            found = _on_stack(folder, steps, out)
        finally:
            _remove(folder)
    if found.ok:
        render.good(out, "Stack ended; no process and no file is left")
    printer.show({**asdict(found), "survived": found.ok}, partial(_tell_next, out) if found.ok else "")
    return 0 if found.ok else 1


def _tell_next(out: Console) -> None:
    out.print()
    render.command(out, "next", "pavo up")


def _on_stack(folder: Path, steps: int, out: Console) -> Survival:
    with LoopInThread("stack") as loop:
        began, ready = time.monotonic(), list[str]()
        stack = EmbeddedStack(
            folder,
            ephemeral=True,
            extra={"api": {"PAVO_AUTH": "dev"}},
            on_ready=lambda name, _seconds: ready.append(name),
        )
        try:
            with waiting(out, "starting PostgreSQL, Valkey, Temporal, the API and a worker …"):
                loop.run(stack.start())
            render.good(out, f"Stack ready in {time.monotonic() - began:.1f} s", " · ".join(ready))
            with ApiClient(stack.api_url) as api:
                return _show(TaskClient(api), stack, steps, out)
        finally:
            with _undisturbed(), waiting(out, "ending the stack …"):
                loop.run(stack.stop())


def _show(tasks: TaskClient, stack: EmbeddedStack, steps: int, out: Console) -> Survival:
    new = TaskCreate(
        title=TITLE, agent_type="tribal_search", agent_options={"steps": steps, "step_seconds": STEP_SECONDS}
    )
    task_id = tasks.create(new).id
    tasks.start(task_id)
    render.good(out, f"Task “{TITLE}” created", str(task_id))
    view = TaskFollower(tasks, task_id, out).until_reviewable()
    if view.stage != WAIT_RFC or view.plan is None:
        raise AgentError(f"No plan came: the task is {view.stage}.", remedy=f"Look at {stack.layout.root}/logs.")
    render.print_block(out, render.plan(tasks.document(task_id, view.plan.document_id)))
    tasks.accept(task_id, view.plan.hash)
    render.good(out, f"Plan v{view.plan.version} accepted", view.plan.hash[:12])
    killed = _watch(tasks, stack, view, steps, out)
    final = tasks.get(task_id)
    report = tasks.report(task_id)
    if report is not None:
        render.print_block(out, render.report(report))
    found = survival(tasks.all_events(task_id), steps, killed.at, done=final.stage == DONE)
    _tell(out, found, killed)
    return found


def _watch(tasks: TaskClient, stack: EmbeddedStack, view: TaskOut, steps: int, out: Console) -> Kill:
    """Follow the steps to the end; in the middle, kill the worker."""
    killed: Kill | None = None
    with progress_view(out, view.model_copy(update={"total": steps})) as progress:
        for event in tasks.stream(view.id):
            progress.see(event)
            data = _data(event)
            if event.type == "tick" and killed is None and data["step"] >= max(1, steps * 2 // 5):
                killed = Kill(stack.kill(WORKER, signal.SIGKILL), now())
                render.bad(out, f"Worker killed with SIGKILL after checkpoint {data['step']}", f"pid {killed.pid}")
            elif event.type == "recovered":
                text = f"A new worker goes on after checkpoint {data['step']}, which was recorded"
                render.turn(out, text, f"pid {stack.supervisor.pid(WORKER)}")
            elif event.type == "failed":
                raise AgentError(f"The task failed: {data['error'].get('cause')}", remedy="See the worker's log.")
    if killed is None:
        raise AgentError("The task ended before its worker could be killed.", remedy="Give it more --steps.")
    return killed


def _tell(out: Console, found: Survival, killed: Kill) -> None:
    out.print(Text("What it survived", "bold"))
    mark(out, found.recovered_at is not None, f"SIGKILL of its worker (pid {killed.pid}) between two checkpoints")
    took = f"{found.seconds:.2f} s later" if found.seconds is not None else "never"
    after = (found.recovered_at or 0) + 1
    mark(out, found.went_on, f"The next checkpoint, {after}, was recorded {took}")
    mark(
        out, found.once_in_order, f"{found.recorded} of {found.steps} checkpoints recorded, each exactly once, in order"
    )
    mark(out, found.gapless, f"{found.events} events in its timeline, numbered without a gap")


def mark(out: Console, ok: bool, text: str) -> None:
    """A line with a check mark or a cross."""
    (render.good if ok else render.bad)(out, text)


def _data(event: EventOut) -> dict[str, Any]:
    return event.model_extra or {}


def _remove(folder: Path) -> None:
    with _undisturbed():
        remove_data(folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _ending_on_sigterm() -> Generator[None]:
    """SIGTERM ends the demo as Ctrl-C does: cleanly."""

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _undisturbed() -> Generator[None]:
    """Ignore Ctrl-C and SIGTERM while everything is cleaned up, which takes a second or two."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
