"""The systems of (k) and (l), each with a model's server beside it that no figure counts."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from temporalio.client import Client

from bench.arms.base import Arm
from bench.arms.pavo import Pavo
from bench.arms.temporal_server import start_temporal
from bench.measure import environment
from bench.proc import Group, Usage, free_port, listens, until, usage
from bench.thinking import openai_agents
from bench.thinking.model_server import MODEL

ROUNDS = 25
"""Of a conversation of (k): 26 calls of the model and 25 of the tool."""


async def start_model(group: Group) -> tuple[int, str]:
    """The model's server: its pid, and its base URL."""
    port = free_port()
    pid = group.start([sys.executable, "-m", "bench.thinking.model_server", str(port)], log="model")
    await until(lambda: listens(port), seconds=20, what="The model's start", logs=group)
    return pid, f"http://127.0.0.1:{port}/v1"


class PavoThinking(Pavo):
    """`pavo up` with an agent in the worker that asks the model by `ctx.complete` and the tool by `ctx.call`."""

    title: ClassVar[str] = "Pavo, agent in the worker"
    agent_type: ClassVar[str] = "thinking"
    _model: str

    async def start(self) -> None:
        _, self._model = await start_model(self.group)
        await super().start()

    def environment(self) -> Mapping[str, str]:
        folder = self.group.folder / "plugins"
        info = folder / "thinking-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thinking\nVersion: 1.0\n")
        agents = "thinking = bench.thinking.agents:Thinking\nthinking_apart = bench.thinking.agents:ThinkingApart\n"
        tools = "bench_lookup = bench.thinking.agents:bench_lookup\n"
        (info / "entry_points.txt").write_text(f"[pavo.agents]\n{agents}\n[pavo.tools]\n{tools}")
        path = f"{folder}:{Path(__file__).parents[2]}"
        return {"PYTHONPATH": path, "PAVO_LLM_BASE_URL": self._model, "PAVO_LLM_MODEL": MODEL}

    async def history_events(self) -> int:
        """Of one conversation's workflow."""
        task = await self.create(ROUNDS)
        await self.until_done([task])
        client = await Client.connect(environment(self)["TEMPORAL_ADDRESS"])
        workflow = (await self.call("GET", f"/api/tasks/{task}"))["workflow_id"]
        return len((await client.get_workflow_handle(workflow).fetch_history()).events)


class PavoThinkingApart(PavoThinking):
    """The same agent in a process of its own."""

    title: ClassVar[str] = "Pavo, isolated agent"
    agent_type: ClassVar[str] = "thinking_apart"


class Framework(Arm):
    """pydantic-ai alone: `agent.run`, one conversation after the other, nothing kept."""

    title: ClassVar[str] = "pydantic-ai alone"
    _pid: int

    async def start(self) -> None:
        _, model = await start_model(self.group)
        port = free_port()
        command = [sys.executable, "-m", "bench.thinking.framework", "alone", model, str(port)]
        self._pid = self.group.start(command, log="framework")
        await until(lambda: listens(port), seconds=30, what="The framework's start", logs=self.group)
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        await self.burst(2, 2)

    async def burst(self, tasks: int, steps: int) -> None:
        self._writer.write(json.dumps([tasks, steps]).encode() + b"\n")
        await self._reader.readline()

    async def one(self, steps: int) -> float:
        start = time.perf_counter()
        await self.burst(1, steps)
        return time.perf_counter() - start

    async def stop(self) -> None:
        self._writer.close()
        await super().stop()

    def usage(self) -> Usage:
        return usage([self._pid])


class FrameworkOnTemporal(Arm):
    """pydantic-ai's own integration with Temporal, tuned: no sandbox, many at once, on a server tuned as Pavo's."""

    title: ClassVar[str] = "pydantic-ai on Temporal"
    client: Client
    _count = 0
    _model_pid: int

    async def start(self) -> None:
        self._model_pid, model = await start_model(self.group)
        address = await start_temporal(self.group)
        self.client = await Client.connect(address)
        self.group.start([*self.command(), model, address], log="framework")
        await asyncio.wait_for(self.burst(2, 2), 60)

    def command(self) -> Sequence[str]:
        """What runs the worker, before the model's URL and the server's address."""
        return (sys.executable, "-m", "bench.thinking.framework", "temporal")

    async def burst(self, tasks: int, steps: int) -> None:
        await asyncio.gather(*(self.one(steps) for _ in range(tasks)))

    async def one(self, steps: int) -> float:
        start = time.perf_counter()
        await self._run(steps)
        return time.perf_counter() - start

    async def _run(self, steps: int) -> str:
        self._count += 1
        name = f"bench-{self._count}"
        await self.client.execute_workflow("Conversation", f"rounds-{steps}-after-0", id=name, task_queue="bench")
        return name

    async def history_events(self) -> int:
        """Of one conversation's workflow."""
        return len((await self.client.get_workflow_handle(await self._run(ROUNDS)).fetch_history()).events)

    def usage(self) -> Usage:
        return usage([pid for pid in self.group.pids if pid != self._model_pid])


class OpenaiAgentsOnTemporal(FrameworkOnTemporal):
    """openai-agents by Temporal's own integration, tuned likewise, and without its tracing."""

    title: ClassVar[str] = "openai-agents on Temporal"

    def command(self) -> Sequence[str]:
        return (str(openai_agents.python()), "-m", "bench.thinking.openai_agents_worker")
