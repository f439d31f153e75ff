import asyncio
from typing import Any

import pytest

from conftest import context
from pavo.agents.checks import checked_plan, checked_report, checked_revision
from pavo.agents.contract import Agent, AgentContext, FeedbackItem, Hit, Plan, Step
from pavo.agents.intern import InternAgent
from pavo.agents.registry import AgentRegistry
from pavo.agents.tribal_search import TribalSearchAgent


def ctx_for(name: str, **options: Any) -> AgentContext:
    return context(**AgentRegistry.load().validate_options(name, {"step_seconds": 0, **options}))


async def accepted(agent: Agent, ctx: AgentContext) -> Plan:
    draft = checked_plan(await agent.plan(ctx))
    return Plan(1, "h", draft.summary, draft.steps)


async def test_the_interns_plan_is_about_the_task() -> None:
    plan = await accepted(InternAgent(), ctx_for("intern", steps=7))
    assert 4 <= len(plan.steps) <= 6
    assert "Analyze" in plan.summary and "Do it" in plan.steps[0].detail


async def test_feedback_is_worked_in_answered_and_reported() -> None:
    agent, ctx = InternAgent(), ctx_for("intern", steps=2)
    plan = await accepted(agent, ctx)
    feedback = [FeedbackItem("a", "Ask\nsales too", 2), FeedbackItem("b", "Be brief"), FeedbackItem("c", "Odd", 99)]
    revision = checked_revision(await agent.revise(ctx, plan, feedback), feedback)
    assert "Ask sales too" in revision.plan.steps[1].detail
    assert revision.plan.steps[0] == plan.steps[0]
    assert "step 2" in revision.answers["a"]
    report = checked_report(
        await agent.report(ctx, Plan(2, "h2", revision.plan.summary, revision.plan.steps), {"n": 2})
    )
    assert report.startswith("# Analyze\n")
    assert "2 checkpoints were recorded, by version 2" in report
    assert "- Ask sales too (step 2)" in report and "- Be brief (the whole plan)" in report


@pytest.mark.parametrize("step", [None, 3])
async def test_as_much_feedback_as_is_accepted_fits_every_version(step: int | None) -> None:
    """500 comments of 20,000 characters of four bytes, on each of a few versions."""
    agent, ctx = InternAgent(), ctx_for("intern", steps=1)
    plan = await accepted(agent, ctx)
    feedback = [FeedbackItem(str(number), "\U0001f99a" * 20_000, step) for number in range(500)]
    for version in range(2, 6):
        revision = checked_revision(await agent.revise(ctx, plan, feedback), feedback)
        plan = Plan(version, "h", revision.plan.summary, revision.plan.steps)
    assert revision.answers["499"] == "Noted; the plan has no room to repeat it."
    checked_report(await agent.report(ctx, plan, {"n": 1}))


async def steps_of(ctx: AgentContext, checkpoint: Any = None) -> list[Step]:
    plan = await accepted(InternAgent(), ctx)
    return [step async for step in InternAgent().execute(ctx, plan, checkpoint)]


async def test_the_intern_counts_and_resumes() -> None:
    ctx = ctx_for("intern", steps=5)
    assert await steps_of(ctx, {"n": 3}) == [Step({"n": 4}, (), 4, 5, 3), Step({"n": 5}, (), 5, 5, 3)]
    assert len(await steps_of(ctx)) == 5
    assert await steps_of(ctx, {"n": 5}) == []


async def test_the_intern_fails_where_it_is_told_to() -> None:
    ctx = ctx_for("intern", steps=5, fail_at=3)
    with pytest.raises(RuntimeError, match="Checkpoint 3"):
        await steps_of(ctx)
    with pytest.raises(RuntimeError, match="Checkpoint 3"):
        await steps_of(ctx, {"n": 2})


async def test_the_interns_pauses() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await steps_of(ctx_for("intern", steps=3, step_seconds=0.05, plan_seconds=0.1))
    assert loop.time() - began >= 0.25


async def test_gathered_context_is_in_plan_and_report() -> None:
    ctx = ctx_for("tribal_search", steps=1)
    agent = TribalSearchAgent()
    plan = await accepted(agent, ctx)
    assert "**Memo**: about it" in plan.steps[1].detail
    feedback = [FeedbackItem("a", "Use the memo", 2)]
    revised = (await agent.revise(ctx, plan, feedback)).plan
    report = await agent.report(ctx, Plan(2, "h2", revised.summary, revised.steps), {"n": 1})
    assert "## Sources\n\n- **Memo**: about it\n" in report


async def test_without_hits_the_plan_says_so() -> None:
    full = ctx_for("tribal_search", steps=1)
    ctx = AgentContext(full.task_id, full.organisation_id, "T", "", full.options, full.corpus)
    plan = await accepted(TribalSearchAgent(), ctx)
    assert "Nothing" in plan.steps[1].detail
    assert "Nothing" in await TribalSearchAgent().report(ctx, plan, {"n": 1})


async def test_long_excerpts_are_cut() -> None:
    full = ctx_for("tribal_search", steps=1)
    hit = Hit("Long", "word " * 1000, 1.0)
    ctx = AgentContext(full.task_id, full.organisation_id, "T", "", full.options, full.corpus, context=(hit,))
    assert len((await accepted(TribalSearchAgent(), ctx)).steps[1].detail) < 400
