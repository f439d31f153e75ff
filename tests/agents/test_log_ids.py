"""What an isolated agent writes is logged on behalf of its task, though it comes from another process."""

import asyncio
import json
import logging

from sample_agents import Talkative

from conftest import PLAN, opened
from pavo.agents.hosts.agent_loop import AgentLoop
from pavo.logging import JsonFormatter
from pavo.observe import noted_ids as scope


async def test_its_words_carry_the_ids_of_the_caller() -> None:
    lines: list[dict[str, object]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter([scope.noted]).format(record)))

    async def step() -> None:
        async with opened("process", Talkative) as host:
            await host.open(PLAN, None)
            await host.next_step()

    async def of_task(name: str) -> None:
        scope.begin()
        scope.note(task_id=name)
        await loop.run_on_agents_thread(step)

    logger, handler, loop = logging.getLogger("pavo.agents.hosts.child_process"), Kept(), AgentLoop()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    loop.start()
    try:
        await asyncio.gather(of_task("a"), of_task("b"))
    finally:
        await asyncio.to_thread(loop.stop)
        logger.removeHandler(handler)
        logger.setLevel(level)
    said = [line["task_id"] for line in lines if "hello from the agent" in str(line["message"])]
    assert sorted(map(str, said)) == ["a", "b"]
