"""An agent made of one of pydantic-ai's: its models and tools are recorded, its approvals are questions to people."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from pavo.adapters.replayed.replayed_agent import ReplayedAgent
from pavo.agents.contract import JSON, AgentContext
from pavo.errors import AgentRefused
from pavo.kit.extras import needing
from pavo.kit.json_values import encode_text, fingerprint, plain


class PydanticAgent(ReplayedAgent):
    """Runs an agent of pydantic-ai, as it is: what models answer and what its tools do is recorded, once.

    After a stop or a crash it runs anew, and is answered what was recorded until it is where it was. So what it sends
    must be the same each time: no times or random numbers in its instructions. Its tools are `unsafe` unless `effects`
    says otherwise: where one was cut in its middle, people are asked whether it happened. What a tool raises goes to
    the model. Tools with `requires_approval` ask people (give the agent `DeferredToolRequests` as an output), and
    deferred calls of other tools are calls of Pavo's tools of that name.

        class Wrens(PydanticAgent):
            name = "wrens"
            wraps = agent
    """

    wraps: ClassVar[Any] = None
    """The agent of pydantic-ai. Without one, `build` makes it."""
    model: ClassVar[str | None] = None
    """Which one is asked; None: that of the endpoint. The model that the agent itself has is not used."""

    def build(self, ctx: AgentContext) -> Any:
        """The agent of pydantic-ai."""
        if self.wraps is None:
            raise AgentRefused(f"{type(self).__qualname__} wraps no agent.", remedy="Set `wraps`, or write build().")
        return self.wraps

    def arguments(self, ctx: AgentContext) -> Mapping[str, Any]:
        """Further arguments of its `run`, such as `deps` and `usage_limits`; the same in each attempt."""
        return {}

    async def run(self, ctx: AgentContext, given: str) -> JSON:
        """Until it needs nobody's approval any more."""
        with needing("An agent of pydantic-ai"):
            from pydantic_ai import DeferredToolRequests
            from pydantic_core import to_jsonable_python

            from pavo.adapters.replayed.pydantic_calls import model_of, recording_toolset
        wrapped, more = self.build(ctx), dict(self.arguments(ctx))
        toolsets = [recording_toolset(each, self.effects, self.unrecorded) for each in wrapped.toolsets]
        said: dict[str, Any] = {"user_prompt": given}
        with wrapped.override(model=model_of(self.model), toolsets=toolsets, tools=[]):
            while True:
                result = await wrapped.run(**said, **more)
                if not isinstance(result.output, DeferredToolRequests):
                    return to_jsonable_python(result.output)
                decided = await self._decided(ctx, result.output)
                said = {"message_history": result.all_messages(), "deferred_tool_results": decided}

    async def _decided(self, ctx: AgentContext, requests: Any) -> Any:
        """What people say of calls that need their approval, and what other calls come to."""
        from pydantic_ai import DeferredToolResults, ToolDenied

        results: Any = DeferredToolResults()

        async def approve(call: Any) -> None:
            arguments = plain(call.args_as_dict())[0]
            name = fingerprint([call.tool_name, arguments, call.tool_call_id])[:24]
            question = f"May {call.tool_name} be called with {encode_text(arguments)[:8000]}?"
            answer = await ctx.ask(f"approve-{name}", question, choices=["yes", "no"])
            results.approvals[call.tool_call_id] = True if answer == "yes" else ToolDenied("A person said no.")

        async def made(call: Any) -> None:
            results.calls[call.tool_call_id] = await ctx.call(call.tool_name, call.args_as_dict())

        waited = [*(approve(each) for each in requests.approvals), *(made(each) for each in requests.calls)]
        for outcome in await asyncio.gather(*waited, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return results
