"""The agent `tribal_search`: the intern, with what the organisation already knows in its plan and report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from pavo.agents.contract import JSON, AgentContext, Hit, Plan, PlanDraft, PlanStep
from pavo.agents.intern import InternAgent

_SOURCES = 1
"""Where the plan has the step that lists what was found, counted from 0."""
_SOURCE = "- "
_EXCERPT_CHARACTERS = 300
_NOTHING = "Nothing in the organisation's documents matched; `pavo corpus add` adds some."


class TribalSearchAgent(InternAgent):
    """Reads the organisation's documents before it plans."""

    name: ClassVar[str] = "tribal_search"
    description: ClassVar[str] = "The intern with the organisation's own documents in its plan and report."
    wants_context: ClassVar[bool] = True
    options_schema: ClassVar[Mapping[str, JSON]] = InternAgent.options_schema

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """The intern's plan, its second step made of what was found."""
        draft = await super().plan(ctx)
        found = "\n".join(f"{_SOURCE}{_quoted(hit)}" for hit in ctx.context) or _NOTHING
        steps = list(draft.steps)
        steps[_SOURCES] = PlanStep("Read what the organisation already knows", found)
        return replace(draft, steps=tuple(steps))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """The intern's report with its sources: those of the plan that was accepted."""
        listed = plan.steps[_SOURCES].detail.splitlines() if len(plan.steps) > _SOURCES else []
        sources = [line for line in listed if line.startswith(_SOURCE)] or [_NOTHING]
        return "\n".join([*self.opening(ctx, plan, checkpoint), "", "## Sources", "", *sources, ""])


def _quoted(hit: Hit) -> str:
    excerpt = " ".join(hit.excerpt.split())
    if len(excerpt) > _EXCERPT_CHARACTERS:
        excerpt = excerpt[: _EXCERPT_CHARACTERS - 1] + "…"
    return f"**{' '.join(hit.title.split())}**: {excerpt}"
