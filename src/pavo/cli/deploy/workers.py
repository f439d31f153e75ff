"""`pavo deploy workers`: the workers' versions, which is current, and moving tasks between them."""

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.text import Text
from temporalio.client import Client

from pavo.cli.exit_codes import DONE, FAILED, end_process
from pavo.cli.installation import find_installation
from pavo.cli.output import Output, Printer, console, teller
from pavo.cli.parameters import layout_of
from pavo.cli.table import table
from pavo.cli.task.render import ago
from pavo.config import Settings
from pavo.deploy.model.progress import Say
from pavo.deploy.rollout import worker_versions
from pavo.deploy.rollout.draining import Drained, LongSteps
from pavo.deploy.rollout.draining import drain as drain_others
from pavo.deploy.rollout.draining import rollback as rollback_to
from pavo.deploy.rollout.worker_rollout import roll_native
from pavo.deploy.rollout.worker_versions import WorkerDeployment
from pavo.errors import InvalidInput
from pavo.temporal.client import connect


def workers(
    *,
    set_current: str | None = None,
    ramp: float | None = None,
    drain: bool = False,
    rollback: str | None = None,
    take_over: str | None = None,
    roll: str | None = None,
    seconds: float = 120.0,
    long_steps: Literal["wait", "end"] = "wait",
    data_dir: Path | None = None,
    output: Output = "text",
) -> None:
    """Show the workers' versions and how many open tasks stay with which; exit code 1 when a drain leaves some.

    Args:
        set_current: build id on which new runs begin from now on.
        ramp: with --set-current: only for so many per cent of the new runs; 0 ends it.
        drain: wake the tasks that stay with other versions and wait until they moved on.
        rollback: build id to go back to; ends a ramp, and brings the tasks back.
        take_over: build id of workers that are gone; the current version goes on with their tasks.
        roll: build id to give the workers of a native deployment, one after the other, with the tasks moving along.
        seconds: how long to wait for a drain.
        long_steps: what a drain does about tasks that are in a long step, which it names: wait until the step ends; or
            end the step after its grace, to be repeated on the current version from the checkpoint before.
        data_dir: the stack that is meant.
    """
    end = long_steps == "end"
    change = VersionChange(set_current, ramp, drain, rollback, take_over, roll, seconds, data_dir, end)
    _check(change)
    settings, printer = find_installation(data_dir).settings, Printer(output)
    deployment, drained = asyncio.run(_work(settings, change, teller(printer.people)))
    left, held_up = (drained.left, [asdict(each) for each in drained.held_up]) if drained else (None, None)
    shown = {**deployment.public(), "left": left, "held_up": held_up}
    printer.show(shown, lambda: _show(deployment, drained))
    end_process(FAILED if left else DONE)


@dataclass(frozen=True, slots=True)
class VersionChange:
    """What is wanted; the fields are the options of the command."""

    set_current: str | None
    ramp: float | None
    drain: bool
    rollback: str | None
    take_over: str | None
    roll: str | None
    seconds: float
    data_dir: Path | None
    end_long_steps: bool

    @property
    def drains(self) -> bool:
        """Whether it is waited for tasks that move."""
        return self.drain or self.rollback is not None or self.roll is not None


def _check(change: VersionChange) -> None:
    if change.ramp is not None and change.set_current is None:
        raise InvalidInput("A ramp needs a version.", field="--ramp", remedy="Name it: --set-current BUILD --ramp 10")
    if change.rollback is not None and change.set_current is not None:
        raise InvalidInput(
            "A rollback sets the current version itself.",
            field="--rollback",
            remedy="Leave out --set-current, or --rollback.",
        )
    if change.end_long_steps and not change.drains:
        remedy = "Add --drain, or leave out --long-steps."
        raise InvalidInput("Only a drain ends long steps.", field="--long-steps", remedy=remedy)


async def _work(settings: Settings, change: VersionChange, say: Say) -> tuple[WorkerDeployment, Drained | None]:
    client, name = await connect(settings.temporal), settings.execution.deployment
    queue = settings.temporal.task_queue
    if change.set_current is not None and change.ramp is not None:
        await worker_versions.ramp(client, name, change.set_current, change.ramp, queue)
    elif change.set_current is not None:
        await worker_versions.set_current(client, name, change.set_current, queue)
    if change.take_over is not None:
        await worker_versions.take_over(client, name, change.take_over, queue)
    drained = None
    if change.drains:
        from pavo.cli.deploy.long_steps import long_steps_of  # all kinds of work: what only looks needs none of it

        async with long_steps_of(settings, say, end=change.end_long_steps) as long_steps:
            drained = await _drain(settings, change, client, long_steps)
    return await worker_versions.describe(client, name, queue), drained


async def _drain(settings: Settings, change: VersionChange, client: Client, long_steps: LongSteps) -> Drained | None:
    name, queue, patience = settings.execution.deployment, settings.temporal.task_queue, change.seconds
    if change.rollback is not None:
        return await rollback_to(client, name, change.rollback, queue, seconds=patience, long_steps=long_steps)
    if change.roll is not None:
        said, layout = console(stderr=True), layout_of(change.data_dir)
        return await roll_native(layout, settings, change.roll, said.print, seconds=patience, long_steps=long_steps)
    if change.drain:
        return await drain_others(client, name, queue, seconds=patience, long_steps=long_steps)
    return None


def _show(deployment: WorkerDeployment, drained: Drained | None) -> None:
    shown = console()
    if not deployment.versions:
        shown.print(f"No worker of {deployment.name} has a version: set PAVO_WORKER_BUILD_ID for `pavo worker`.")
    else:
        table(
            ("version", "status", "open runs", "since"),
            [(v.build_id, _status(deployment, v.build_id, v.status), v.runs, v.created) for v in deployment.versions],
        )
    if deployment.unversioned_runs:
        shown.print(f"{deployment.unversioned_runs} open runs are with workers without a version.")
    if drained and drained.left:
        left = ", ".join(f"{count} on {build_id}" for build_id, count in drained.left.items())
        shown.print(Text(f"! Still there after {drained.seconds:.0f} s: {left}.", "yellow"))
        held_up = drained.held_up
        if held_up:
            table(
                ("task", "title", "agent", "does", "since", "plan step"),
                [
                    (e.subject_id, e.title, e.agent, e.doing, ago(e.since) if e.since else "", e.plan_step or "")
                    for e in held_up
                ],
            )
        if any(each.doing == "step" for each in held_up):
            shown.print("  → To end their steps, and repeat them: pavo deploy workers --drain --long-steps end")
        shown.print("  → Keep their workers running; are they gone: pavo deploy workers --take-over BUILD")
    elif drained:
        said = f" All runs are on the current version ({drained.seconds:.0f} s)."
        shown.print(Text.assemble(("✓", "green"), said))


def _status(deployment: WorkerDeployment, build_id: str, status: str) -> str:
    return f"{status} {deployment.ramp_percent:g} %" if build_id == deployment.ramping else status
