"""The patch of a job from an agent that is killed while it sends it: kept once, whole, and the job goes on."""

import asyncio
import tempfile
import threading
from pathlib import Path

import grpc
import pytest

from pavo.protocol import fleet_pb2 as pb
from tests.forges.small_forge import Forge
from tests.remote.fake_gateway import FakeGateway
from tests.remote.test_agent_program import JOB, Agents, agents, command, execution, gateway  # noqa: F401
from tests.remote.test_processes import gone


def clean() -> pb.Command:
    return command("cleanup", message=pb.Cleanup(job_id=JOB, epoch=1))


@pytest.mark.fault
async def test_killed_while_it_sends_the_patch_it_sends_it_again(
    gateway: FakeGateway,  # noqa: F811
    agents: Agents,  # noqa: F811
    small_forge: Forge,
    repository: str,
) -> None:
    process = agents.start()
    stream = await gateway.session()
    gateway.holds_files = asyncio.Event()
    execute = execution(small_forge, repository, "echo run >> runs; head -c 2000000 /dev/urandom > noise")
    await stream.send(command=execute)
    await gateway.until(lambda: gateway.holding, "the first part")
    process.kill()
    process.wait()
    gateway.holds_files.set()
    agents.start()
    await gateway.session(2)
    result = await gateway.result(execute.id)
    assert result.executed.changed and (agents.worktree / "runs").read_text() == "run\n"
    [(whose, name, media_type, content)] = gateway.files
    assert (whose, name, media_type) == ((JOB, 1), "patch", "text/x-diff") and b"GIT binary patch" in content
    await gateway.streams[-1].send(command=clean())
    assert (await gateway.result(clean().id)).HasField("cleaned") and len(gateway.files) == 1


@pytest.mark.fault
async def test_a_program_that_is_cancelled_leaves_a_patch(
    gateway: FakeGateway,  # noqa: F811
    agents: Agents,  # noqa: F811
    small_forge: Forge,
    repository: str,
) -> None:
    process = agents.start()
    stream = await gateway.session()
    execute = execution(small_forge, repository, "echo half > half.txt; echo there; sleep 60")
    await stream.send(command=execute)
    await gateway.until(lambda: any(each.text == "there" for each in gateway.lines.get((JOB, 1), [])))
    await stream.send(cancel=pb.Cancel(job_id=JOB, epoch=1, reason="a test"))
    assert (await gateway.result(execute.id)).HasField("cancelled")
    worktree = agents.worktree
    gateway.holds_files = asyncio.Event()
    await stream.send(command=clean())
    await gateway.until(lambda: gateway.holding, "the first part")
    process.kill()
    process.wait()
    gateway.holds_files.set()
    agents.start()
    assert (await gateway.result(clean().id)).HasField("cleaned") and await gone(worktree)
    [(_, name, _, content)] = gateway.files
    assert name == "patch" and b"+half" in content and not worktree.exists()


async def test_a_gateway_without_room_fails_no_job(
    gateway: FakeGateway,  # noqa: F811
    agents: Agents,  # noqa: F811
    small_forge: Forge,
    repository: str,
) -> None:
    gateway.refused_files = grpc.StatusCode.INVALID_ARGUMENT
    agents.start()
    stream = await gateway.session()
    execute = execution(small_forge, repository, "echo x > x")
    await stream.send(command=execute)
    assert (await gateway.result(execute.id)).executed.changed
    await stream.send(command=clean())
    assert (await gateway.result(clean().id)).HasField("cleaned") and gateway.files == []
    await gateway.until(lambda: any("not kept with the job" in each.text for each in gateway.lines[(JOB, 1)]))


@pytest.mark.fault
async def test_killed_while_it_asks_the_server_it_leaves_no_socket(
    gateway: FakeGateway,  # noqa: F811
    agents: Agents,  # noqa: F811
    small_forge: Forge,
    repository: str,
) -> None:
    asked, on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        asked.set()
        on.wait(60)

    small_forge.interfere = hold
    before = set(Path(tempfile.gettempdir()).glob("pavo-git-*"))

    def left() -> set[Path]:
        return set(agents.state.glob("work/sockets/*")) | set(Path(tempfile.gettempdir()).glob("pavo-git-*")) - before

    process = agents.start()
    stream = await gateway.session()
    execute = execution(small_forge, repository, "echo x > x")
    await stream.send(command=execute)
    await gateway.until(asked.is_set, "its request")
    process.kill()
    process.wait()
    assert left()
    small_forge.interfere = lambda *_: None
    on.set()
    agents.start()
    await gateway.session(2)
    assert (await gateway.result(execute.id)).failure.type == "AgentRestarted"
    again = execution(small_forge, repository, "echo x > x", "again")
    await gateway.streams[-1].send(command=again)
    assert (await gateway.result(again.id)).executed.changed
    await gateway.until(lambda: not any(each.is_dir() and list(each.iterdir()) for each in left()), "no socket left")
