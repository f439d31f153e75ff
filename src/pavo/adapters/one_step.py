"""The plan of an orchestrator that does not plan: one step, which shows what it will be given."""

from collections.abc import Sequence

from pavo.agents.contract import AgentContext, FeedbackItem, Plan, PlanDraft, PlanStep, Revision


def planned(ctx: AgentContext, what: str) -> PlanDraft:
    """A plan of one step.

    Args:
        what: runs.
    """
    return PlanDraft(ctx.title, [PlanStep(f"Run {what}", ctx.prompt or ctx.title)])


def revised(plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
    """The same plan, with each comment added to what will be given."""
    *others, last = plan.steps
    said = "".join(f"\n\n{item.body}" for item in feedback)
    draft = PlanDraft(plan.summary, [*others, PlanStep(last.title, f"{last.detail}{said}")])
    return Revision(draft, {item.id: "Added to what it is given." for item in feedback})
