"""pydantic-ai as it comes: `python -m bench.thinking.framework alone MODEL PORT`, or `temporal MODEL ADDRESS`.

Alone it does as it is told by lines [CONVERSATIONS, ROUNDS] on PORT; on Temporal it is a worker.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import uvloop
from openai import AsyncOpenAI
from pydantic_ai import Agent, UsageLimits
from pydantic_ai.durable_exec.temporal import AgentPlugin, PydanticAIPlugin, TemporalDurability
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.toolsets import FunctionToolset
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench.thinking.model_server import MODEL, TOOL

UNLIMITED = UsageLimits(request_limit=None)


def _lookup(query: str) -> str:
    """Look something up."""
    return f"What is known of {query}. " * 2


def _agent(base_url: str, capabilities: Sequence[Any] = ()) -> Agent[None, str]:
    client = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60)
    tools = FunctionToolset[None](id="tools")
    tools.add_function(_lookup, name=TOOL)
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
    return Agent(model, name="bench", toolsets=[tools], capabilities=list(capabilities))


@workflow.defn
class Conversation:
    """A conversation on Temporal."""

    @workflow.run
    async def run(self, prompt: str) -> str:
        """Its last word."""
        return (await AGENT.run(prompt, usage_limits=UNLIMITED)).output


async def alone(port: int) -> None:
    """Serve the driver until killed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            conversations, rounds = json.loads(line)
            for _ in range(conversations):
                await AGENT.run(f"rounds-{rounds}-after-0", usage_limits=UNLIMITED)
            writer.write(b"done\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


async def on_temporal(address: str) -> None:
    """Work until killed."""
    worker = Worker(
        await Client.connect(address, plugins=[PydanticAIPlugin()]),
        task_queue="bench",
        workflows=[Conversation],
        plugins=[AgentPlugin(AGENT)],
        max_concurrent_activities=200,
        max_concurrent_workflow_tasks=200,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await worker.run()


if __name__ == "__main__":
    kind, base, place = sys.argv[1:]
    AGENT = _agent(base, [TemporalDurability()] if kind == "temporal" else [])
    uvloop.run(on_temporal(place) if kind == "temporal" else alone(int(place)))
