"""Agents of (k) and (l): a model, a tool, a checkpoint with both messages; in the worker, and in a process."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

from bench.thinking.model_server import MODEL, TOOL
from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.tools.contract import tool

FUNCTION: Mapping[str, Any] = {
    "name": TOOL,
    "description": "Look something up.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}


@tool(effect="read")
async def bench_lookup(query: str) -> str:
    """Look something up."""
    return f"What is known of {query}. " * 2


class Thinking(Agent):
    """So many rounds of a model's answer and a tool's result, then the model's last word."""

    name: ClassVar[str] = "thinking"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """One step."""
        return PlanDraft("Talk.", [PlanStep("Talk")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """The same."""
        return Revision(PlanDraft(plan.summary, plan.steps), {item.id: "Seen." for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        """The conversation, which is the transcript; the checkpoint is its length."""
        tokens = ctx.options.get("tokens", 0)
        prompt = f"rounds-{ctx.options['steps']}-after-{ctx.options['step_seconds']}-tokens-{tokens}"
        messages: list[Mapping[str, Any]] = [{"role": "user", "content": prompt}]
        if checkpoint:
            messages += [each.data for each in await ctx.transcript.read(limit=1000, max_bytes=4_000_000)]
        while True:
            request = {"model": MODEL, "messages": messages, "tools": [{"type": "function", "function": FUNCTION}]}
            answer = await ctx.complete(request)
            new: list[Mapping[str, Any]] = [answer["choices"][0]["message"]]
            for call in new[0].get("tool_calls") or ():
                arguments = json.loads(call["function"]["arguments"])
                told = await ctx.call(call["function"]["name"], arguments)
                new.append({"role": "tool", "tool_call_id": call["id"], "content": told})
            messages += new
            yield Step(len(messages) - 1, messages=new)
            if len(new) == 1:
                return

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        """One line."""
        return "Done."


class ThinkingApart(Thinking):
    """The same in a process of its own."""

    name: ClassVar[str] = "thinking_apart"
    isolation: ClassVar[Any] = "process"
