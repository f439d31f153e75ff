"""The agent program against a scripted gateway: each command once, results until they are acknowledged, cuts, ends."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from pavo.errors import Conflict
from pavo.protocol import fleet_pb2 as pb
from pavo.remote.agent import AgentProgram, pause, state_of
from pavo.remote.connection import GrpcGateway
from pavo.remote.diagnosis import Refused
from pavo.remote.journal import Attempt, Journal
from pavo.remote.processes.running import run
from pavo.remote.settings import AgentSettings, GatewayAddress
from pavo.remote.work import CommandCancelled, CommandFailed, Work
from tests.remote.fake_gateway import TOKEN, FakeGateway

JOB = str(uuid.uuid4())
OTHER = str(uuid.uuid4())


class Handlers:
    """What commands do in these tests."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.works: dict[str, Work] = {}
        self.go_on = asyncio.Event()
        self.do: Callable[[Work], Awaitable[pb.Result]] = self.wait

    async def wait(self, work: Work) -> pb.Result:
        asked = asyncio.ensure_future(work.ending.asked.wait())
        go_on = asyncio.ensure_future(self.go_on.wait())
        await asyncio.wait({asked, go_on}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        go_on.cancel()
        work.check()
        return pb.Result(executed=pb.Executed(changed=True))

    async def execute(self, work: Work) -> pb.Result:
        self.begun.append(work.command.id)
        self.works[work.command.id] = work
        work.stage("EXECUTING")
        work.log(f"doing {work.command.id}")
        return await self.do(work)

    async def clean(self, work: Work) -> pb.Result:
        self.begun.append(work.command.id)
        return pb.Result(cleaned=pb.Cleaned(freed_bytes=1))


class Running:
    """An agent program in this process."""

    def __init__(self, state: Path, port: int, handlers: Handlers, **more: object) -> None:
        address = GatewayAddress("127.0.0.1", port, secure=False)
        settings = AgentSettings(
            address,
            TOKEN,
            "one",
            state,
            renew_seconds=0.2,
            working_seconds=0.2,
            **more,  # type: ignore[arg-type]
        )
        gateway = GrpcGateway(address, settings.token, None)
        table = {"start_execution": handlers.execute, "cleanup": handlers.clean}
        self.program = AgentProgram(settings, gateway, table, lambda: ("command",), "none")
        self.task = asyncio.ensure_future(self.program.run())

    async def stop(self) -> None:
        self.program.stop()
        self.program.stop()
        await self.task


class World:
    """A gateway and an agent."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.gateway, self.handlers = folder, FakeGateway(), Handlers()
        self.agents: list[Running] = []

    def start(self, **more: object) -> Running:
        agent = Running(self.folder, self.gateway.port, self.handlers, **more)
        self.agents.append(agent)
        return agent

    async def die(self, agent: Running) -> None:
        """As if it were killed: nothing is said, nothing is written any more."""
        agent.program.dispatcher.close = _nothing  # type: ignore[method-assign]
        for each in asyncio.all_tasks():
            if each.get_name().startswith("command "):
                each.cancel()
        agent.program._journal.finish = lambda _: None  # type: ignore[method-assign]
        agent.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await agent.task
        self.agents.remove(agent)


async def _nothing() -> None:
    return None


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.gateway.start()
    try:
        yield world
    finally:
        world.handlers.go_on.set()
        for agent in world.agents:
            if not agent.task.done():
                await agent.stop()
        await world.gateway.stop()


def command(name: str = "a", job: str = JOB, epoch: int = 1, seconds: int = 0) -> pb.Command:
    return pb.Command(
        id=str(uuid.uuid5(uuid.UUID(job), f"{epoch}:{name}")),
        job_id=job,
        epoch=epoch,
        timeout_seconds=seconds,
        start_execution=pb.StartExecution(prompt=name),
    )


def cleanup(job: str = JOB, epoch: int = 1) -> pb.Command:
    found = command("cleanup", job, epoch)
    found.cleanup.CopyFrom(pb.Cleanup(job_id=job, epoch=epoch))
    return found


async def test_a_command_is_carried_out_once_however_often_it_comes(world: World) -> None:
    world.start()
    stream = await world.gateway.session()
    assert stream.hello.agent == "one" and stream.hello.capabilities.programs == ["command"]
    for _ in range(3):
        await stream.send(command=command())
    await world.gateway.until(lambda: len(stream.of("accepted")) == 3)
    world.handlers.go_on.set()
    result = await world.gateway.result(command().id)
    assert result.executed.changed and (result.job_id, result.epoch) == (JOB, 1)
    await stream.send(command=command())
    await world.gateway.until(lambda: len(world.gateway.results) >= 2)
    assert world.handlers.begun == [command().id] and world.gateway.results[0] == world.gateway.results[1]


async def test_a_result_is_sent_until_it_is_acknowledged(world: World) -> None:
    world.gateway.acks_results = False
    world.start()
    world.handlers.go_on.set()
    await (await world.gateway.session()).send(command=command())
    await world.gateway.result(command().id)
    world.gateway.streams[0].cut.set()
    second = await world.gateway.session(2)
    await world.gateway.until(lambda: second.of("result"))
    assert second.hello.running[0].command_ids == [command().id]
    world.gateway.acks_results = True
    second.cut.set()
    third = await world.gateway.session(3)
    await world.gateway.until(lambda: third.of("result"))
    third.cut.set()
    fourth = await world.gateway.session(4)
    await world.gateway.until(lambda: fourth.of("ping"))
    assert not fourth.of("result") and world.handlers.begun == [command().id]


async def test_a_cut_in_the_middle_interrupts_no_work_and_no_line_is_lost(world: World) -> None:
    world.start()
    first = await world.gateway.session()
    await first.send(command=command())
    await world.gateway.until(lambda: first.of("working") and world.gateway.lines)
    work = world.handlers.works[command().id]
    for number in range(50):
        work.log(f"before {number}")
    first.cut.set()
    for number in range(50):
        work.log(f"while {number}")
    second = await world.gateway.session(2)
    await second.send(command=command())
    await world.gateway.until(lambda: second.of("accepted") and second.of("working"))
    world.handlers.go_on.set()
    await world.gateway.result(command().id)
    lines = await world.gateway.until(lambda: len(found := world.gateway.lines[(JOB, 1)]) >= 101 and found)
    assert [each.seq for each in lines] == list(range(1, 102)) and not any(each.gap for each in lines)
    assert world.handlers.begun == [command().id] and {each.stage for each in lines} == {"EXECUTING"}


async def test_cancel_ends_the_programs_of_a_command(world: World, tmp_path: Path) -> None:
    async def programs(work: Work) -> pb.Result:
        argv = ["sh", "-c", "trap '' TERM; setsid sleep 600 & echo there; while :; do sleep 0.1; done"]
        ended = await run(
            argv,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            limits=work.limits(grace=0.2),
            on_line=lambda line: work.log_output(line, "program"),
            ending=work.ending,
            mark=work.mark,
        )
        if work.is_cancelled:
            raise CommandCancelled(ended.killed)
        return pb.Result(executed=pb.Executed())

    world.handlers.do = programs
    world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: any(each.text == "there" for each in world.gateway.lines.get((JOB, 1), [])))
    await stream.send(cancel=pb.Cancel(job_id=JOB, epoch=1, reason="enough"))
    result = await world.gateway.result(command().id)
    assert result.HasField("cancelled") and result.cancelled.killed >= 1
    await stream.send(command=cleanup())
    assert (await world.gateway.result(cleanup().id)).cleaned.freed_bytes == 1
    await world.gateway.until(lambda: Journal(tmp_path).attempts() == [])
    assert not list((tmp_path / "logs").iterdir())


async def test_a_lost_lease_ends_the_work_and_keeps_what_came_of_it(world: World) -> None:
    world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: world.gateway.renewals and stream.of("working"))
    assert world.gateway.renewals[-1].jobs[0].job_id == JOB and world.gateway.renewals[-1].agent == "one"
    world.gateway.lost.add((JOB, 1))
    result = await world.gateway.result(command().id)
    assert result.HasField("cancelled") and world.handlers.works[command().id].lost
    count = len(world.gateway.renewals)
    await world.gateway.until(lambda: any("lost its job" in each.text for each in world.gateway.lines[(JOB, 1)]))
    await world.gateway.until(lambda: len(stream.of("ping")) > 1)
    assert len(world.gateway.renewals) <= count + 1  # nothing is renewed any more


async def test_a_newer_attempt_ends_the_older_one_and_waits_for_it(world: World) -> None:
    world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: world.handlers.begun)
    await stream.send(command=command(epoch=2))
    assert (await world.gateway.result(command().id)).HasField("cancelled")
    await world.gateway.until(lambda: len(world.handlers.begun) == 2)
    world.handlers.go_on.set()
    assert (await world.gateway.result(command(epoch=2).id)).HasField("executed")
    await stream.send(command=command("late", epoch=1))
    assert (await world.gateway.result(command("late", epoch=1).id)).failure.type == "OldAttempt"


async def test_capacity_and_draining_refuse_what_is_new(world: World) -> None:
    agent = world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: world.handlers.begun)
    await stream.send(command=command(job=OTHER))
    refused = (await world.gateway.result(command(job=OTHER).id)).failure
    assert refused.type == "NoCapacity" and refused.retryable and "--capacity" in refused.remedy
    await stream.send(drain=pb.Drain(reason="the machine is to be replaced"))
    world.handlers.go_on.set()
    await world.gateway.result(command().id)
    await stream.send(command=command(job=OTHER, epoch=3))  # somebody has undone it: the gateway says who gets what
    assert (await world.gateway.result(command(job=OTHER, epoch=3).id)).HasField("executed")
    assert not stream.of("changed") and not agent.program.capabilities().draining
    agent.program.dispatcher.drain("its machine is to be replaced")
    await stream.send(command=command(job=OTHER, epoch=4))
    assert (await world.gateway.result(command(job=OTHER, epoch=4).id)).failure.type == "Draining"
    await stream.send(command=command("b"))
    assert (await world.gateway.result(command("b").id)).executed.changed  # what is here is finished
    agent.program.stop()
    for each in (cleanup(), *(cleanup(OTHER, epoch) for epoch in (1, 3, 4))):
        await stream.send(command=each)
    async with asyncio.timeout(20):
        await agent.task  # nothing is left to do
    assert stream.of("goodbye")


async def test_another_life_answers_what_was_begun_and_runs_nothing_twice(world: World) -> None:
    agent = world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: stream.of("working") and world.gateway.acked)
    await world.die(agent)
    world.start()
    second = await world.gateway.session(2)
    assert second.hello.boot_id != stream.hello.boot_id and second.hello.machine_id == stream.hello.machine_id
    failure = (await world.gateway.result(command().id)).failure
    assert failure.type == "AgentRestarted" and failure.retryable
    await second.send(command=command())
    await world.gateway.until(lambda: len(world.gateway.results) > 1)
    assert world.handlers.begun == [command().id]


async def test_another_life_goes_on_from_what_was_put_by(world: World) -> None:
    async def half(work: Work) -> pb.Result:
        if work.kept is None:
            await work.put_by(b"half")
            work.log("put by")
            await asyncio.Event().wait()
        return pb.Result(executed=pb.Executed(changed=True, summary=(work.kept or b"").decode()))

    world.handlers.do = half
    agent = world.start()
    await (await world.gateway.session()).send(command=command())
    await world.gateway.until(lambda: len(world.gateway.lines.get((JOB, 1), [])) == 2)
    await world.die(agent)
    world.start()
    assert (await world.gateway.result(command().id)).executed.summary == "half"


async def test_what_a_handler_raises_is_a_failure(world: World) -> None:
    async def fails(work: Work) -> pb.Result:
        if work.command.start_execution.prompt == "known":
            raise CommandFailed("No such branch.", kind="PrepareFailed", remedy="Make it.", retryable=True)
        raise ZeroDivisionError("by nought")

    world.handlers.do = fails
    world.start()
    stream = await world.gateway.session()
    await stream.send(command=command("known"))
    known = (await world.gateway.result(command("known").id)).failure
    assert (known.type, known.cause, known.remedy, known.retryable) == (
        "PrepareFailed",
        "No such branch.",
        "Make it.",
        True,
    )
    await stream.send(command=command("other"))
    other = (await world.gateway.result(command("other").id)).failure
    assert other.type == "AgentFailed" and "by nought" in other.cause and not other.retryable
    unknown = pb.Command(id=str(uuid.uuid4()), job_id=JOB, epoch=1)
    await stream.send(command=unknown)
    assert (await world.gateway.result(unknown.id)).failure.type == "UnknownCommand"


async def test_debts_are_paid_at_the_next_welcome(world: World) -> None:
    world.gateway.welcome.debts.add(job_id=OTHER, epoch=3)
    world.start()
    await world.gateway.session()
    result = await world.gateway.until(lambda: world.gateway.results and world.gateway.results[0])
    assert result.HasField("cleaned") and (result.job_id, result.epoch) == (OTHER, 3)


async def test_a_silent_gateway_is_left(world: World) -> None:
    world.gateway.welcome.silence_seconds = 1
    world.gateway.answers_pings = False
    world.start()
    await world.gateway.session(2)


async def test_no_more_log_is_sent_than_the_credit_allows(world: World) -> None:
    world.gateway.welcome.log_credit = 50_000
    world.gateway.acks_logs = False
    world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: world.handlers.works)
    work = world.handlers.works[command().id]
    for _ in range(2_000):
        work.log("x" * 100)
    await world.gateway.until(lambda: len(stream.of("ping")) > 2)
    sizes = [each.ByteSize() for each in stream.of("log")]
    assert 10_000 < sum(sizes) <= 50_000
    world.gateway.acks_logs = True
    stream.cut.set()
    await world.gateway.until(lambda: len(world.gateway.lines.get((JOB, 1), [])) == 2_001)


async def test_a_refused_token_and_a_refused_agent_end_the_program(world: World) -> None:
    world.gateway.goodbye = pb.Goodbye(reason="There is an agent of that name.", remedy="Choose another.")
    agent = world.start()
    with pytest.raises(Refused, match="agent of that name"):
        await agent.task
    address = GatewayAddress("127.0.0.1", world.gateway.port, secure=False)
    (world.folder / "wrong").mkdir()
    settings = AgentSettings(address, "wrong", "two", world.folder / "wrong")
    program = AgentProgram(settings, GrpcGateway(address, "wrong", None), {}, tuple, "none")
    with pytest.raises(Refused, match="does not take the token"):
        await program.run()


async def test_a_time_that_is_over_ends_a_command(world: World) -> None:
    world.start()
    stream = await world.gateway.session()
    await stream.send(command=command(seconds=1))
    assert (await world.gateway.result(command(seconds=1).id)).failure.type == "TimedOut"


def test_one_program_uses_a_state_directory(tmp_path: Path) -> None:
    with (
        state_of(tmp_path / "state"),
        pytest.raises(Conflict, match="Another agent program"),
        state_of(tmp_path / "state"),
    ):
        pass
    with state_of(tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o77 == 0


def test_pauses_are_bounded_and_differ() -> None:
    assert all(0.5 <= pause(n) <= 15 for n in range(100)) and len({pause(9) for _ in range(20)}) > 10


async def test_what_is_worked_at_is_not_removed_for_space_also_when_its_job_is_lost(world: World) -> None:
    async def stubborn(work: Work) -> pb.Result:
        await world.handlers.go_on.wait()
        return pb.Result(executed=pb.Executed(changed=True))

    world.handlers.do = stubborn
    agent = world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: world.handlers.begun)
    dispatcher = agent.program.dispatcher
    await dispatcher.lose(Attempt(JOB, 1))
    assert dispatcher.standing() == {(JOB, 1): True}
    world.handlers.go_on.set()
    await world.gateway.until(lambda: dispatcher.standing() == {(JOB, 1): False})
