"""Agents that run other people's frameworks, unmodified, on the gateway; installed as a plug-in by `install`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step


class OnGateway(Agent):
    """Runs a conversation of three rounds in one step; keeps its token in a file."""

    name: ClassVar[str] = "on_gateway"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft(await self._say(ctx, ["plan"]), [PlanStep("Talk")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft(plan.summary, plan.steps), {item.id: "Seen." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        said = await self._talk(ctx)
        fails = Path(ctx.options["folder"]) / "fail"
        if fails.exists():
            fails.unlink()
            raise RuntimeError("after the conversation, before the checkpoint")
        yield Step(said)

    async def _talk(self, ctx: AgentContext) -> list[str]:
        said: list[str] = []
        for number in range(3):
            said.append(await self._say(ctx, [*said, f"round {number}"]))
        return [*said, await self._say(ctx, ["again"]), await self._say(ctx, ["again"])]

    async def _say(self, ctx: AgentContext, texts: list[str]) -> str:
        from openai import AsyncOpenAI

        gateway = await ctx.gateway()
        (Path(ctx.options["folder"]) / "token").write_text(gateway.token)
        messages: Any = [{"role": "user" if text == texts[-1] else "assistant", "content": text} for text in texts]
        asked = {"model": "scripted", "messages": messages, "user": ctx.options["user"]}
        async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.token) as client:
            if not ctx.options.get("stream"):
                answer = await client.chat.completions.create(**asked)
                return answer.choices[0].message.content or ""
            text = ""
            async for chunk in await client.chat.completions.create(**asked, stream=True):
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            return text

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return f"{await self._say(ctx, ['report'])} {checkpoint}"


class OnGatewayApart(OnGateway):
    """The same in a process of its own."""

    name: ClassVar[str] = "on_gateway_apart"
    isolation: ClassVar[Any] = "process"


class WithPydanticAi(OnGateway):
    """A pydantic-ai agent with a tool, in one step."""

    name: ClassVar[str] = "with_pydantic_ai"

    async def _talk(self, ctx: AgentContext) -> list[str]:
        from pydantic_ai import Agent as Orchestrator
        from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
        from pydantic_ai.providers.openai import OpenAIProvider

        gateway = await ctx.gateway()
        provider = OpenAIProvider(base_url=gateway.base_url, api_key=gateway.token)
        settings = OpenAIChatModelSettings(openai_user=ctx.options["user"])
        orchestrator = Orchestrator(OpenAIChatModel("scripted", provider=provider), model_settings=settings)

        @orchestrator.tool_plain
        def weigh(what: str) -> str:
            """What something weighs."""
            return f"{what} weighs 7 g"

        if ctx.options.get("stream"):
            async with orchestrator.run_stream("What does a wren weigh?") as streamed:
                return [await streamed.get_output()]
        return [(await orchestrator.run("What does a wren weigh?")).output]


def install(folder: Path) -> None:
    """Make a plug-in of these in `folder`."""
    from tests.plug_ins import install_module  # the plug-in itself does not know the tests

    agents = {each.name: each.__name__ for each in (OnGateway, OnGatewayApart, WithPydanticAi)}
    install_module(folder, Path(__file__), {"pavo.agents": agents})
