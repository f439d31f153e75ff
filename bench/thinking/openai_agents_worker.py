"""openai-agents on Temporal, a worker: `python -m bench.thinking.openai_agents_worker MODEL ADDRESS`.

It runs in an environment of its own (`bench.thinking.openai_agents`): the integration takes an older openai-agents than
Pavo's own tests. So it imports nothing of Pavo.
"""

import sys
from datetime import timedelta
from typing import Any

import uvloop
from agents.models.interface import Model, ModelProvider  # pyright: ignore
from openai import AsyncOpenAI
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin  # pyright: ignore
from temporalio.openai_agents.workflow import activity_as_tool  # pyright: ignore
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled  # pyright: ignore
from bench.thinking.model_server import MODEL


@activity.defn
async def bench_lookup(query: str) -> str:
    """Look something up: `model_server.TOOL`."""
    return f"What is known of {query}. " * 2


class Provider(ModelProvider):
    """The scripted model, by chat completions."""

    def __init__(self, base_url: str) -> None:
        client = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60)
        self._model = OpenAIChatCompletionsModel(MODEL, client)

    def get_model(self, model_name: str | None) -> Model:
        """It."""
        return self._model


@workflow.defn(name="Conversation")
class Conversation:
    """A conversation on Temporal."""

    @workflow.run
    async def run(self, prompt: str) -> str:
        """Its last word."""
        tool: Any = activity_as_tool(bench_lookup, start_to_close_timeout=timedelta(seconds=10))
        agent = Agent(name="bench", model=MODEL, tools=[tool])
        return (await Runner.run(agent, prompt, max_turns=1_000)).final_output


async def work(base_url: str, address: str) -> None:
    """Work until killed."""
    set_tracing_disabled(True)
    plugin = OpenAIAgentsPlugin(
        ModelActivityParameters(start_to_close_timeout=timedelta(seconds=60)),
        model_provider=Provider(base_url),
        add_temporal_spans=False,
    )
    worker = Worker(
        await Client.connect(address, plugins=[plugin]),
        task_queue="bench",
        workflows=[Conversation],
        activities=[bench_lookup],
        max_concurrent_activities=200,
        max_concurrent_workflow_tasks=200,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await worker.run()


if __name__ == "__main__":
    uvloop.run(work(*sys.argv[1:]))
