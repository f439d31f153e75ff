"""The scripted agent `intern`: it shows a task's whole life without a model, for demos, tests and benchmarks."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from pavo.agents.contract import (
    JSON,
    Agent,
    AgentContext,
    FeedbackItem,
    Isolation,
    Plan,
    PlanDraft,
    PlanStep,
    Revision,
    Step,
)

REQUEST = "Reviewer asked: "
"""Begins the line of a plan that carries a reviewer's wish: so the report knows them without any state of its own."""
QUOTED = 200
"""Characters of a wish that a plan repeats."""
ROOM = 400_000
"""Bytes that a plan may have for yet another wish to be repeated in it: half of what a document may have is left."""
_COUNTING = 3
"""The plan's step in which it counts."""
_YIELD_EVERY = 16
"""Steps without a wait after which other tasks get their turn."""


class InternAgent(Agent):
    """Counts to `steps`, with as long a pause at each as `step_seconds` says."""

    name: ClassVar[str] = "intern"
    description: ClassVar[str] = "A scripted agent for demos and tests: counts, a checkpoint for each number."
    isolation: ClassVar[Isolation] = "worker"
    options_schema: ClassVar[Mapping[str, JSON]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "steps": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1_000_000,
                "default": 200,
                "description": "How many checkpoints to record.",
            },
            "step_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": 3600,
                "default": 0.1,
                "description": "How long each of them takes.",
            },
            "fail_at": {
                "type": ["integer", "null"],
                "minimum": 1,
                "default": None,
                "description": "The checkpoint that fails on every try.",
            },
            "plan_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": 3600,
                "default": 0,
                "description": "How long planning and each revision take.",
            },
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """Five steps made from the task's title and prompt."""
        await _pause(ctx, "plan_seconds")
        steps = int(ctx.options["steps"])
        goal = _one_line(ctx.prompt) or ctx.title
        return PlanDraft(
            summary=f"{ctx.title}: five steps, worked off in {steps:,} checkpoints.",
            steps=(
                PlanStep("Understand the question", f"Read the task again and say what an answer must contain: {goal}"),
                PlanStep("Collect what is known", f"List the sources that bear on “{ctx.title}” and what is missing."),
                PlanStep("Work through the material", f"Go through it in {steps:,} units, each recorded when done."),
                PlanStep("Check the findings", "Look for contradictions and for claims without a source."),
                PlanStep("Write the report", "Say what was found, how sure it is, and what to do next."),
            ),
        )

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """The same plan with each item written into the step that it names, or into the summary."""
        await _pause(ctx, "plan_seconds")
        summary, steps = plan.summary, list(plan.steps)
        room = ROOM - sum(len(text.encode()) for text in _texts(plan))
        answers: dict[str, str] = {}
        for item in feedback:
            line = f"{REQUEST}{_quoted(item.body)}"
            room -= len(line.encode()) + 1
            if room < 0:
                answers[item.id] = "Noted; the plan has no room to repeat it."
            elif item.step is not None and 1 <= item.step <= len(steps):
                step = steps[item.step - 1]
                steps[item.step - 1] = PlanStep(step.title, f"{step.detail}\n{line}".lstrip())
                answers[item.id] = f"Worked into step {item.step}, “{step.title}”."
            else:
                summary = f"{summary}\n{line}"
                answers[item.id] = "Worked into the summary; it holds for every step."
        return Revision(PlanDraft(summary, tuple(steps)), answers)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        """Count on from the checkpoint `{"n": …}`."""
        total = int(ctx.options["steps"])
        seconds = float(ctx.options["step_seconds"])
        fail_at = ctx.options.get("fail_at")
        at = min(_COUNTING, len(plan.steps))
        for n in range(_done(checkpoint) + 1, total + 1):
            if seconds > 0:
                await asyncio.sleep(seconds)
            elif n % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if n == fail_at:
                raise RuntimeError(f"Checkpoint {n} fails because the option fail_at asks for it.")
            yield Step(checkpoint={"n": n}, progress=n, total=total, plan_step=at)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """What was done, by which plan, and which wishes it honoured."""
        return "\n".join([*self.opening(ctx, plan, checkpoint), ""])

    def opening(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> list[str]:
        """The report's lines so far, for agents that add sections."""
        taken = f"{_done(checkpoint):,} checkpoints were recorded, by version {plan.version} of the plan."
        lines = [f"# {ctx.title}", "", taken]
        lines += ["", "## What was done", ""]
        lines += [f"{number}. {step.title}" for number, step in enumerate(plan.steps, 1)]
        if wishes := _wishes(plan):
            lines += ["", "## What reviewers asked for", "", *(f"- {wish}" for wish in wishes)]
        return lines


async def _pause(ctx: AgentContext, option: str) -> None:
    seconds = float(ctx.options.get(option, 0))
    if seconds > 0:
        await asyncio.sleep(seconds)


def _done(checkpoint: JSON | None) -> int:
    return 0 if checkpoint is None else int(cast(dict[str, Any], checkpoint)["n"])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    """The beginning of a wish: hundreds of the longest would be more than a plan may have."""
    line = _one_line(text)
    return line if len(line) <= QUOTED else line[: QUOTED - 1] + "…"


def _texts(plan: Plan) -> list[str]:
    return [plan.summary, *(text for step in plan.steps for text in (step.title, step.detail))]


def _wishes(plan: Plan) -> list[str]:
    texts = [("the whole plan", plan.summary)]
    texts += [(f"step {number}", step.detail) for number, step in enumerate(plan.steps, 1)]
    return [
        f"{line.removeprefix(REQUEST)} ({place})"
        for place, text in texts
        for line in text.splitlines()
        if line.startswith(REQUEST)
    ]
