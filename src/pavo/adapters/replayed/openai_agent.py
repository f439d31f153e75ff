"""An agent made of one of the OpenAI Agents SDK: models and tools are recorded, approvals are questions to people."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pavo.adapters.replayed.replayed_agent import ReplayedAgent
from pavo.agents.contract import JSON, AgentContext
from pavo.errors import AgentRefused
from pavo.kit.extras import needing
from pavo.kit.json_values import fingerprint


class OpenAIAgent(ReplayedAgent):
    """Runs an agent of the OpenAI Agents SDK with its handoffs, as it is; see `PydanticAgent` for what is recorded.

    Its function tools are `unsafe` unless `effects` says otherwise. Tools with `needs_approval` ask people. Nothing is
    traced to OpenAI.

        class Wrens(OpenAIAgent):
            name = "wrens"
            wraps = agent
    """

    wraps: ClassVar[Any] = None
    """The agent of the SDK. Without one, `build` makes it."""
    model: ClassVar[str | None] = None
    """Which one is asked, for all of its agents; None: that of the endpoint."""

    def build(self, ctx: AgentContext) -> Any:
        """The agent of the SDK."""
        if self.wraps is None:
            raise AgentRefused(f"{type(self).__qualname__} wraps no agent.", remedy="Set `wraps`, or write build().")
        return self.wraps

    def arguments(self, ctx: AgentContext) -> Mapping[str, Any]:
        """Further arguments of `Runner.run`, such as `context`, `max_turns` and `run_config`; the same in each
        attempt."""
        return {}

    async def run(self, ctx: AgentContext, given: str) -> JSON:
        """Until it needs nobody's approval any more."""
        with needing("An agent of the OpenAI Agents SDK"):
            from pydantic_core import to_jsonable_python

            from agents import RunConfig, Runner
            from pavo.adapters.replayed.openai_calls import chat_model, recording_agent
        more = dict(self.arguments(ctx))
        config = replace(more.pop("run_config", None) or RunConfig(), model=chat_model(self.model))
        more["run_config"] = replace(config, tracing_disabled=True)
        agent = recording_agent(self.build(ctx), self.effects, self.unrecorded)
        result: Any = await Runner.run(agent, given, **more)
        while result.interruptions:
            state = result.to_state()
            for each in result.interruptions:
                await self._decide(ctx, state, each)
            result = await Runner.run(agent, state, **more)
        return to_jsonable_python(result.final_output)

    async def _decide(self, ctx: AgentContext, state: Any, call: Any) -> None:
        name = str(call.tool_name)
        arguments = str(getattr(call.raw_item, "arguments", "") or "")
        key = fingerprint([name, arguments, str(getattr(call.raw_item, "call_id", ""))])[:24]
        question = f"May {name} be called with {arguments[:8000]}?"
        if await ctx.ask(f"approve-{key}", question, choices=["yes", "no"]) == "yes":
            state.approve(call)
        else:
            state.reject(call)
