"""`pavo agent run` whose attempt was lost: what it had done reaches its fenced branch, whatever dies meanwhile."""

import asyncio
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from pavo.protocol import fleet_pb2 as pb
from tests.forges.small_forge import Forge
from tests.remote.fake_gateway import FakeGateway
from tests.remote.test_agent_program import JOB, Agents, agents, execution, gateway, where  # noqa: F401

FENCED = f"pavo/{JOB}--epoch-1"


def keep(forge: Forge, repository: str) -> pb.Command:
    message = pb.KeepLateWork(
        repository=where(forge, repository), base_branch="main", branch=f"pavo/{JOB}", push_branch=FENCED
    )
    name = str(uuid.uuid5(uuid.UUID(JOB), "keep"))
    return pb.Command(id=name, job_id=JOB, epoch=1, timeout_seconds=300, keep_late_work=message)


@pytest.mark.fault
async def test_killed_while_it_pushes_it_goes_on(
    gateway: FakeGateway,  # noqa: F811
    agents: Agents,  # noqa: F811
    small_forge: Forge,
    repository: str,
) -> None:
    process = agents.start()
    stream = await gateway.session()
    execute = execution(small_forge, repository, "cat > line.txt")
    await stream.send(command=execute)
    assert (await gateway.result(execute.id)).executed.changed
    pushing, go = threading.Event(), threading.Event()

    def interfere(_: str, path: str) -> Any:
        if "git-receive-pack" in path:
            pushing.set()
            go.wait(30)

    small_forge.interfere = interfere
    try:
        gateway.lost.add((JOB, 1))
        command = keep(small_forge, repository)
        await stream.send(command=command)
        await asyncio.to_thread(pushing.wait, 30)
        assert pushing.is_set()
        process.kill()
        process.wait()
    finally:
        go.set()
        small_forge.interfere = lambda method, path: None
    agents.start()
    second = await gateway.session(2)
    done = (await gateway.result(command.id)).published
    assert done.branch == FENCED and small_forge.branch(repository, FENCED) == done.commit
    assert small_forge.file(repository, FENCED, "line.txt") == "Add a line"
    assert small_forge.branch(repository, f"pavo/{JOB}") is None
    await second.send(command=command)  # twice: its answer, and no other push
    await gateway.until(lambda: [each.command_id for each in gateway.results].count(command.id) > 1)
    branches = {each.branch for each in gateway.credentials if each.branch}
    assert branches == {FENCED}, "it never asked for another one to push to"


async def test_a_program_that_is_ended_by_the_loss_leaves_what_it_had_done(
    gateway: FakeGateway,  # noqa: F811
    agents: Agents,  # noqa: F811
    small_forge: Forge,
    repository: str,
) -> None:
    """Beside a newer attempt of the same job, on the same machine, which goes on meanwhile."""
    agents.start()
    stream = await gateway.session()
    execute = execution(small_forge, repository, "echo half > half.txt; echo there; exec sleep 300")
    await stream.send(command=execute)
    await gateway.until(lambda: any(each.text == "there" for each in gateway.lines.get((JOB, 1), [])))
    gateway.lost.add((JOB, 1))
    newer = execution(small_forge, repository, "echo new > new.txt; echo here; exec sleep 300")
    newer.id, newer.epoch = str(uuid.uuid4()), 2
    await stream.send(command=newer)
    await gateway.until(lambda: any(each.text == "here" for each in gateway.lines.get((JOB, 2), [])))
    command = keep(small_forge, repository)
    await stream.send(command=command)
    done = (await gateway.result(command.id)).published
    assert small_forge.file(repository, FENCED, "half.txt") == "half" and done.branch == FENCED
    assert not any(each.command_id == newer.id for each in gateway.results), "it works on"
    places = agents.state / "work" / "worktrees"
    assert (Path(places) / f"{JOB}--2" / "new.txt").exists()
