"""An agent whose journal cannot be written, and words that nothing can keep: each command has its result."""

import sqlite3

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.programs.dialects.happenings import Heard
from pavo.remote.programs.dialects.readers import read
from pavo.remote.work import CommandFailed, Work
from tests.remote.test_dispatch import OTHER, Running, World, cleanup, command, world

__all__ = ["world"]


def pages(agent: Running, count: int | None) -> None:
    """Have the journal's file grow no further, as on a full disk; None: there is room again."""
    connection: sqlite3.Connection = agent.program._journal._connection
    connection.execute(f"PRAGMA max_page_count = {count or 1_000_000}")


def filled(agent: Running) -> None:
    connection: sqlite3.Connection = agent.program._journal._connection
    pages(agent, connection.execute("PRAGMA page_count").fetchone()[0])
    connection.execute("PRAGMA cache_size = 0")


async def test_a_result_that_cannot_be_written_is_sent_and_written_later(world: World) -> None:
    large = pb.Result(executed=pb.Executed(changed=True, summary="x" * 200_000))

    async def fills(work: Work) -> pb.Result:
        filled(agent)
        return large

    agent = world.start()
    world.handlers.do = fills
    stream = await world.gateway.session()
    await stream.send(command=command())
    result = await world.gateway.result(command().id)
    assert len(result.executed.summary) == 200_000
    assert agent.program._journal.result_of(command().id) is None
    await stream.send(command=command())  # it comes once more, and is not begun again
    await world.gateway.until(lambda: len(world.gateway.results) >= 2)
    assert world.handlers.begun == [command().id]
    assert not await agent.program.dispatcher.is_idle()
    pages(agent, None)
    await world.gateway.until(lambda: agent.program._journal.result_of(command().id) is not None)
    await stream.send(command=cleanup())
    assert (await world.gateway.result(cleanup().id)).cleaned.freed_bytes == 1


async def test_a_command_that_cannot_be_noted_is_not_begun_and_the_program_stays(world: World) -> None:
    agent = world.start()
    stream = await world.gateway.session()
    await stream.send(command=command())
    await world.gateway.until(lambda: world.handlers.begun)
    filled(agent)
    too_much = command(job=OTHER)
    too_much.start_execution.prompt = "x" * 200_000
    await stream.send(command=too_much)
    refused = (await world.gateway.result(too_much.id)).failure
    assert refused.type == "NoSpace" and refused.retryable and "state directory" in refused.remedy
    pages(agent, None)
    await stream.send(command=too_much)
    await world.gateway.until(
        lambda: len([each for each in world.gateway.results if each.command_id == too_much.id]) > 1
    )
    assert world.handlers.begun == [command().id], "what was answered is not begun when there is room again"
    world.handlers.go_on.set()
    assert (await world.gateway.result(command().id)).executed.changed, "what ran goes on"
    await stream.send(command=command("b", job=OTHER))
    assert (await world.gateway.result(command("b", job=OTHER).id)).executed.changed


async def test_an_agent_that_drains_turns_a_new_job_away_each_time(world: World) -> None:
    agent = world.start()
    stream = await world.gateway.session()
    agent.program.dispatcher.drain("the machine is to be replaced")
    for name in "abc":
        await stream.send(command=command(name))
        assert (await world.gateway.result(command(name).id)).failure.type == "Draining"
    assert world.handlers.begun == []


async def test_a_failure_in_words_that_cannot_be_sent_is_a_result(world: World) -> None:
    async def fails(work: Work) -> pb.Result:
        raise CommandFailed("half a character: \ud83d, and NUL: \0", kind="ProgramFailed", remedy="\ude00")

    world.start()
    world.handlers.do = fails
    stream = await world.gateway.session()
    await stream.send(command=command())
    failure = (await world.gateway.result(command().id)).failure
    assert failure.type == "ProgramFailed" and "half a character: ?" in failure.cause and "\0" not in failure.cause


async def test_whatever_a_handler_does_there_is_a_result(world: World) -> None:
    async def fails(work: Work) -> pb.Result:
        return pb.Result(executed=pb.Executed(summary="\ud83d"))

    world.start()
    world.handlers.do = fails
    stream = await world.gateway.session()
    await stream.send(command=command())
    assert (await world.gateway.result(command().id)).failure.type == "AgentFailed"
    assert (await world.gateway.result(command().id)).command_id == command().id


def test_what_programs_say_can_be_kept() -> None:
    heard = Heard()
    read("codex", heard, r'{"type": "turn.failed", "error": {"message": "no \ud83d and \u0000 \ud83d\ude00 \\u0000"}}')
    assert heard.error == "no ? and \N{REPLACEMENT CHARACTER} \N{GRINNING FACE} \\u0000"
