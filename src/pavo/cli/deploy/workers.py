"""`pavo deploy workers`: the workers' versions, which is current, and moving tasks between them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from pavo.cli.exit_codes import DONE, FAILED, end_process
from pavo.cli.installation import find_installation
from pavo.cli.output import Output, Printer, console
from pavo.cli.parameters import layout_of
from pavo.cli.table import table
from pavo.config import Settings
from pavo.deploy.rollout import worker_versions
from pavo.deploy.rollout.worker_rollout import roll_native
from pavo.deploy.rollout.worker_versions import Drained, WorkerDeployment
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
        data_dir: the stack that is meant.
    """
    if ramp is not None and set_current is None:
        raise InvalidInput("A ramp needs a version.", field="--ramp", remedy="Name it: --set-current BUILD --ramp 10")
    if rollback is not None and set_current is not None:
        raise InvalidInput(
            "A rollback sets the current version itself.",
            field="--rollback",
            remedy="Leave out --set-current, or --rollback.",
        )
    settings = find_installation(data_dir).settings
    change = VersionChange(set_current, ramp, drain, rollback, take_over, roll, seconds, data_dir)
    deployment, drained = asyncio.run(_work(settings, change))
    left = drained.left if drained else None
    Printer(output).show({**deployment.public(), "left": left}, lambda: _show(deployment, drained))
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


async def _work(settings: Settings, change: VersionChange) -> tuple[WorkerDeployment, Drained | None]:
    client, name = await connect(settings.temporal), settings.execution.deployment
    queue = settings.temporal.task_queue
    if change.set_current is not None and change.ramp is not None:
        await worker_versions.ramp(client, name, change.set_current, change.ramp, queue)
    elif change.set_current is not None:
        await worker_versions.set_current(client, name, change.set_current, queue)
    if change.take_over is not None:
        await worker_versions.take_over(client, name, change.take_over, queue)
    drained = None
    if change.rollback is not None:
        drained = await worker_versions.rollback(client, name, change.rollback, queue, seconds=change.seconds)
    elif change.roll is not None:
        said = console(stderr=True)
        drained = await roll_native(
            layout_of(change.data_dir), settings, change.roll, said.print, seconds=change.seconds
        )
    elif change.drain:
        drained = await worker_versions.drain(client, name, queue, seconds=change.seconds)
    return await worker_versions.describe(client, name, queue), drained


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
        shown.print("  → Keep their workers running; are they gone: pavo deploy workers --take-over BUILD")
    elif drained:
        said = f" All runs are on the current version ({drained.seconds:.0f} s)."
        shown.print(Text.assemble(("✓", "green"), said))


def _status(deployment: WorkerDeployment, build_id: str, status: str) -> str:
    return f"{status} {deployment.ramp_percent:g} %" if build_id == deployment.ramping else status
