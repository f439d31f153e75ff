"""An agent made of one of smolagents': its models and tools are recorded; what it asks its user, people are asked."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pavo.adapters.agents_thread import AgentsThread
from pavo.adapters.replayed.replayed_agent import ReplayedAgent
from pavo.agents.contract import JSON, AgentContext
from pavo.errors import AgentRefused
from pavo.kit.extras import needing


class SmolAgent(ReplayedAgent):
    """Runs a `ToolCallingAgent` with its managed agents, as it is; see `PydanticAgent` for what is recorded.

    It runs on a thread of its own, and its tools on another, one after the other. They are `unsafe` unless `effects`
    says otherwise. The tool `UserInputTool` asks people. A `CodeAgent` is refused: what its code does beside calls of
    tools cannot be recorded.

        class Finches(SmolAgent):
            name = "finches"
            wraps = agent
    """

    wraps: ClassVar[Any] = None
    """The agent of smolagents; each run is of a copy. Without one, `build` makes it."""
    model: ClassVar[str | None] = None
    """Which one is asked, for managed agents too; None: that of the endpoint. Of the agent's own only the further
    parameters are used, such as `temperature`."""

    def build(self, ctx: AgentContext) -> Any:
        """The agent of smolagents."""
        if self.wraps is None:
            raise AgentRefused(f"{type(self).__qualname__} wraps no agent.", remedy="Set `wraps`, or write build().")
        return self.wraps

    def arguments(self, ctx: AgentContext) -> Mapping[str, Any]:
        """Further arguments of its `run`, such as `additional_args` and `max_steps`; the same in each attempt."""
        return {}

    async def run(self, ctx: AgentContext, given: str) -> JSON:
        """Until its final answer."""
        with needing("An agent of smolagents"):
            from pavo.adapters.replayed.smol_calls import Calls, answer_of, recording_agent
        label = f"{type(self).name} of task {ctx.task_id}"
        running, tools = AgentsThread(ctx.task_id, label), AgentsThread(ctx.task_id, f"{label}: its tools")
        calls = Calls(tools, self.effects, self.unrecorded)

        def work() -> Any:
            calls.begin()
            agent = recording_agent(self.build(ctx), calls, self.model)
            return answer_of(agent, given, self.arguments(ctx))

        try:
            await running.start()
            await tools.start()
            return await running.run(work)
        finally:
            await running.close(_nothing)
            await tools.close(_nothing)  # the last: one that a tool keeps is what a later attempt waits for


def _nothing() -> None:
    return None
