"""More agents than a gateway has queues for: those beyond share one, and each gets its own commands."""

import asyncio
from contextlib import AsyncExitStack

from pavo.protocol import fleet_pb2 as pb
from tests.fleet.conftest import Commands, Gateway, start_gateway
from tests.fleet.fake_agent import FakeAgent, agent
from tests.fleet.rows import Rows
from tests.parts import Parts

NAMES = ("first", "second", "third", "fourth")


async def test_commands_on_the_shared_queue_reach_the_right_agent(parts: Parts, rows: Rows, commands: Commands) -> None:
    gateway = await start_gateway(parts, PAVO_GATEWAY_OWN_QUEUES="1")
    token = await rows.token()
    async with AsyncExitStack() as opened:
        agents = {name: await opened.enter_async_context(agent(gateway.address, token, name)) for name in NAMES}
        for each in agents.values():
            await each.connect()
        queues = {name: (await rows.of_agent(name)).queue for name in NAMES}
        own = str(await rows.agent_id("first"))
        assert queues.pop("first") == f"agent-{own}-{agents['first'].session}"
        assert len(set(queues.values())) == 1 and queues["second"].startswith("gateway-")

        async def carry_out(name: str, there: FakeAgent) -> None:
            job = await rows.job(name)
            running = await commands.start(job, (await rows.of_agent(name)).queue)
            command = await there.command()
            assert command.job_id == job.id, "its own"
            await there.answer(command, executed=pb.Executed(changed=name != "third"))
            assert (await running.result()).changed is (name != "third")
            assert len(there.of("command")) == 1

        async with asyncio.timeout(60):
            await asyncio.gather(*(carry_out(*each) for each in agents.items()))
    gateway.part.end()


async def test_a_place_that_is_free_again_is_taken_by_the_next_session(parts: Parts, rows: Rows) -> None:
    gateway: Gateway = await start_gateway(parts, PAVO_GATEWAY_OWN_QUEUES="1")
    token = await rows.token()
    async with agent(gateway.address, token, "first") as first, agent(gateway.address, token, "second") as second:
        await first.connect()
        await second.connect()
        assert (await rows.of_agent("second")).queue.startswith("gateway-")
        await first.send(pb.FromAgent(goodbye=pb.Goodbye(reason="done")))
        await first.until(lambda: first.ended)
        await second.close()
        await second.connect()
        assert (await rows.of_agent("second")).queue.startswith("agent-")
    gateway.part.end()
