"""Workers of a new build beside those of the old one, until every task has moved on."""

from collections.abc import Callable

from temporalio.client import Client

from pavo.config import Settings
from pavo.deploy import control, rollout
from pavo.deploy import deployment as deployments
from pavo.deploy.deployment import Deployment
from pavo.deploy.layout import Layout
from pavo.errors import Unavailable

Say = Callable[[str], None]
DRAIN_SECONDS = 300.0


async def replace_workers(layout: Layout, chosen: Deployment, build: str, settings: Settings, say: Say) -> None:
    """Restart all workers on the installed code, as the version `build`.

    Half of them begin as the new version, it becomes current, pinned tasks move on when they next continue as new,
    waiting ones are woken; when none is left on the old version its workers follow. A single worker cannot stand beside
    itself: its tasks are handed over as they are, which the replay of their histories (`pavo deploy check`) must have
    allowed.

    Raises:
        Unavailable: some tasks did not move within the time; the old workers still serve them, and the same command
            goes on.
    """
    before = chosen.worker_build
    deployments.save(layout, chosen.model_copy(update={"worker_build": build}))
    workers = [part.name for part in control.parts_named(control.must_run(layout.root), "worker")]
    first, rest = workers[: (len(workers) + 1) // 2], workers[(len(workers) + 1) // 2 :]
    for name in first:
        await control.restart(layout.root, name)
        say(f"{name} runs the installed code as build {build}.")
    client = await Client.connect(settings.temporal.address or "", namespace=settings.temporal.namespace or "default")
    group, queue = settings.execution.deployment, settings.temporal.task_queue
    await rollout.set_current(client, group, build, queue)
    say(f"Build {build} is current: what begins, begins there.")
    if before and before != build and not rest:
        say(f"{await rollout.take_over(client, group, before)} tasks were handed over.")
    drained = await rollout.drain(client, group, seconds=DRAIN_SECONDS)
    if drained.left:
        left = ", ".join(f"{count} on {version}" for version, count in drained.left.items())
        raise Unavailable(
            f"Some tasks have not moved yet: {left}. Their workers still serve them; repeat the command.",
            dependency="worker",
        )
    say(f"All tasks have moved on ({drained.woken} were woken, {drained.seconds:.1f} s).")
    for name in rest:
        await control.restart(layout.root, name)
        say(f"{name} follows.")


async def restart_workers(layout: Layout, say: Say) -> None:
    """Restart workers without versions one by one; their tasks go from one to the next at their checkpoints."""
    for name in await control.restart(layout.root, "worker"):
        say(f"{name} runs the installed code.")
