"""Rolling a new build out to the workers of a native deployment, one after the other, with the tasks moving along."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from temporalio.client import Client

from pavo.config import Settings
from pavo.deploy.local import control
from pavo.deploy.local.deployed import must_be_native
from pavo.deploy.model import deployment
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import kind_of
from pavo.deploy.model.progress import Say
from pavo.deploy.rollout import worker_versions
from pavo.deploy.rollout.draining import Drained, LongSteps, drain
from pavo.errors import InvalidInput, PavoError, Unavailable
from pavo.temporal.client import connect


@dataclass(frozen=True, slots=True)
class Rolling:
    """What is rolled, and how."""

    name: str
    """Of the worker deployment."""
    build_id: str
    task_queue: str
    workers: Sequence[str]
    """Names of the parts, in the order in which they are restarted."""
    restart: Callable[[str], Awaitable[object]]
    """Starts a part again, now with the new build id, and returns when it is ready."""
    seconds: float = 120.0
    """For tasks to move on by themselves, before they are taken over."""
    long_steps: LongSteps | None = None
    """What is told and done about those that do not."""


async def roll(client: Client, wanted: Rolling, say: Say) -> Drained:
    """The first worker begins the new version, which becomes current; tasks move to it while the others still run.

    Tasks that have not moved when the last worker is replaced are taken over as they are; with a single worker, that is
    all of them.

    Raises:
        Conflict: no worker of the new version answers: nothing has moved.
        Unavailable: a part does not come back, or Temporal does not answer.
    """
    first, others = wanted.workers[0], wanted.workers[1:]
    await wanted.restart(first)
    say(f"{first} runs {wanted.build_id}.")
    before = await worker_versions.set_current(client, wanted.name, wanted.build_id, wanted.task_queue)
    say(f"New runs begin on {wanted.build_id}" + (f" instead of {before}." if before != wanted.build_id else "."))
    if others:
        drained = await _drain(client, wanted)
        say(f"{drained.woken} runs were asked to move on; {sum(drained.left.values())} did not yet.")
    for worker in others:
        await wanted.restart(worker)
        say(f"{worker} runs {wanted.build_id}.")
    for build_id in (await worker_versions.describe(client, wanted.name, wanted.task_queue)).behind:
        count = await worker_versions.take_over(client, wanted.name, build_id, wanted.task_queue)
        say(f"{count} runs of {build_id} were taken over.")
    return await _drain(client, wanted)


async def _drain(client: Client, wanted: Rolling) -> Drained:
    return await drain(client, wanted.name, wanted.task_queue, seconds=wanted.seconds, long_steps=wanted.long_steps)


async def roll_native(
    layout: Layout,
    settings: Settings,
    build_id: str,
    say: Say,
    *,
    seconds: float = 120.0,
    long_steps: LongSteps | None = None,
) -> Drained:
    """Roll a build out to all workers of a native deployment; it is remembered for their next starts.

    A build whose first worker does not get ready, or does not answer, is taken back.

    Raises:
        InvalidInput: the build id is empty.
        Unavailable: it was taken back, or the message says why not.
    """
    if not build_id:
        raise InvalidInput("Workers with a version stay versioned.", field="--roll", remedy="Name a build id.")
    chosen = must_be_native(layout)
    state = control.must_run(layout.root)
    workers = [part.name for part in state.parts if kind_of(part.name).name == "worker"]
    client = await connect(settings.temporal)
    named = settings.execution.deployment, build_id, settings.temporal.task_queue
    wanted = Rolling(*named, workers, lambda name: control.restart(layout.root, name), seconds, long_steps)
    deployment.save(layout, chosen.model_copy(update={"worker_build": build_id}))
    try:
        return await roll(client, wanted, say)
    except PavoError as error:
        now = await worker_versions.describe(client, wanted.name, wanted.task_queue)
        if now.current == build_id != chosen.worker_build:
            raise  # tasks may be on it already: repeating goes on, --rollback goes back
        deployment.save(layout, chosen)
        await control.restart(layout.root, workers[0])
        raise Unavailable(f"{build_id} was taken back: {error.detail}", dependency="worker") from error
