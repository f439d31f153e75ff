"""The agent `llm`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from pavo.agents.contract import (
    JSON,
    Agent,
    AgentContext,
    Event,
    FeedbackItem,
    Isolation,
    Plan,
    PlanDraft,
    Revision,
    Step,
)
from pavo.agents.llm_agent import plans
from pavo.agents.llm_agent.asking import Asking
from pavo.agents.llm_agent.compaction import Compaction
from pavo.agents.llm_agent.conversation import WINDOW_BYTES, Conversation, spoken
from pavo.agents.llm_agent.functions import functions_of, left_out_told
from pavo.agents.llm_agent.last_word import check
from pavo.agents.llm_agent.plans import PlanOut, RevisionOut
from pavo.agents.llm_agent.reports import report_of
from pavo.agents.llm_agent.turns import GO_ON, OWN, Turns
from pavo.agents.llm_agent.wording import beginning
from pavo.artifacts.domain import Artifact
from pavo.errors import AgentRefused, ArtifactError, ModelRefused

PLANNER: Final = "You plan the work on a task. People review the plan, and it is carried out as they accept it."
BEFORE_BYTES: Final = 60_000
"""Of the end of the conversation that a follow-up goes on with; all of it is in the transcript."""
NO_PROGRESS: Final = "People said to stop, for there was no progress."
PASSED_ON: Final = 50
"""Messages of people, in one step."""


class LlmAgent(Agent):
    """See the package."""

    name: ClassVar[str] = "llm"
    description: ClassVar[str] = "A model plans, calls tools and answers, on any OpenAI-compatible endpoint."
    isolation: ClassVar[Isolation] = "worker"
    wants_context: ClassVar[bool] = True
    options_schema: ClassVar[Mapping[str, JSON]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "type": ["string", "null"],
                "maxLength": 200,
                "default": None,
                "description": "Another model than the endpoint's own.",
            },
            "endpoint": {
                "type": ["string", "null"],
                "maxLength": 100,
                "default": None,
                "description": "The name of another endpoint than the default one.",
            },
            "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2, "default": None},
            "instructions": {
                "type": "string",
                "maxLength": 20_000,
                "default": "",
                "description": "What the model is told beside the task, as its system message.",
            },
            "structured": {
                "enum": ["json_schema", "json_object", "prompt"],
                "default": "json_schema",
                "description": "How the endpoint is asked for a plan as JSON: what it can.",
            },
            "compaction": {
                "enum": ["summary", "cut", "off"],
                "default": "summary",
                "description": "What becomes of a conversation that is longer than `window_bytes`: the model sums up "
                "all but its last messages; or they are left out; or it is shown all of it, whatever that costs.",
            },
            "window_bytes": {
                "type": "integer",
                "minimum": 4_000,
                "maximum": 8_000_000,
                "default": WINDOW_BYTES,
                "description": "So much of the conversation the model is shown beside the task: about 3 or 4 a token.",
            },
            "same_calls": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1000,
                "default": 5,
                "description": "After so many calls of a tool with the same arguments people are asked.",
            },
            "still_turns": {
                "type": "integer",
                "minimum": 1,
                "maximum": 10_000,
                "default": 50,
                "description": "After so many answers without a word of progress people are asked.",
            },
            "still_tokens": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1_000_000_000,
                "default": 5_000_000,
                "description": "After so many tokens without a word of progress people are asked.",
            },
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        """A plan by the model: goal, steps, risks, tools."""
        tools = await ctx.available_tools()
        told = plans.plan_request(ctx.title, ctx.prompt, ctx.context, tools, await ctx.former())

        def judge(found: PlanOut) -> PlanDraft:
            return _known(found, tools).draft()

        return await self._planned(ctx, told, PlanOut, tools, judge)

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        """Another plan, and an answer to each comment."""
        tools = await ctx.available_tools()
        asked = plans.plan_request(ctx.title, ctx.prompt, (), tools, await ctx.former())
        told = f"{asked}\n\n{plans.revision_request(plan, feedback)}"

        def judge(found: RevisionOut) -> Revision:
            return Revision(_known(found, tools).draft(), plans.answers_of(found, feedback))

        return await self._planned(ctx, told, RevisionOut, tools, judge, len(feedback))

    async def _planned(
        self, ctx: AgentContext, told: str, kind: Any, tools: Sequence[Any], judge: Any, comments: int = 0
    ) -> Any:
        system = "\n\n".join(part for part in (PLANNER, str(ctx.options.get("instructions", ""))) if part)
        schema = plans.schema_of(kind, [each["name"] for each in tools], comments)
        return await Asking(ctx).formed(system, told, kind, schema, judge)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        """Turn by turn, each a checkpoint."""
        if checkpoint is None:
            found = await self._begun(ctx, plan)
            found.asks(Asking(ctx).whom)
            yield found.recorded([])
        else:
            found = await Conversation.load(checkpoint, ctx.transcript)
            if found.asks(whom := Asking(ctx).whom):
                yield found.recorded([Event("asks_another", whom)])
        while found.result is None:
            if said := await self._said(ctx, found):
                yield found.recorded(said)
            if self._is_still(ctx, found) and not await self._go_on(ctx, found):
                yield found.recorded([])  # so that who resumes is asked anew
                raise AgentRefused(NO_PROGRESS, remedy="Change the prompt, and resume.")
            event = await self._turned(ctx, found, plan)
            # What people said meanwhile comes before the result.
            more = [] if found.result is None else await self._said(ctx, found)
            if more:
                found.result = None
            yield found.recorded([event, *more])
            check(found)

    async def _begun(self, ctx: AgentContext, plan: Plan) -> Conversation:
        """A new conversation. It is recorded before the model is asked: what the requests are made of must be the same
        in each attempt."""
        functions = functions_of(OWN, await ctx.available_tools(), plans.tools_of(plan))
        former = await ctx.former()
        past = (
            ()
            if former is None
            else await spoken(
                ctx.transcript, min(BEFORE_BYTES, int(ctx.options.get("window_bytes", WINDOW_BYTES)) // 3)
            )
        )
        at = await ctx.transcript.count()
        told = beginning(ctx, plan, former, left_out_told(functions.left_out))
        found = Conversation.begun(at, functions.given, told, past, functions.names)
        if former is not None:
            found.said = max(message.seq for message in former.messages)
        return found

    async def _turned(self, ctx: AgentContext, found: Conversation, plan: Plan) -> Event:
        """A turn, or what makes place for it."""
        compaction = Compaction(ctx, found)
        if compaction.is_due:
            return await compaction.make()
        try:
            return await Turns(ctx, found, plans.tools_of(plan), len(plan.steps)).take()
        except ModelRefused as refused:
            return await compaction.after(refused)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        """What was done for each step of the plan, what it took and cost, and which files there are."""
        return report_of(ctx.title, plan, Conversation.of(checkpoint), await ctx.spent(), await _files(ctx))

    async def _said(self, ctx: AgentContext, found: Conversation) -> list[Event]:
        """Pass on what people said; recorded before the model is asked."""
        news = (await ctx.messages(after=found.said))[:PASSED_ON]
        for message in news:
            found.add({"role": "user", "content": f"{message.author} says: {message.body}"})
            found.said = message.seq
        return [Event("messages_passed_on", {"count": len(news)})] if news else []

    def _is_still(self, ctx: AgentContext, found: Conversation) -> bool:
        """Whether answers, or tokens, were too many without a word of progress."""
        turns, tokens = int(ctx.options["still_turns"]), int(ctx.options["still_tokens"])
        return found.still >= turns or found.still_tokens >= tokens

    async def _go_on(self, ctx: AgentContext, found: Conversation) -> bool:
        total = found.usage.get("input", 0) + found.usage.get("output", 0)
        question = (
            f"The model has answered {found.still} times, with {found.still_tokens:,} tokens, without saying that a "
            f"step of the plan was begun or done; {found.turn} times and with {total:,} tokens in all. Go on?"
        )
        key = f"llm/still/{found.turn}" + (f"/{found.stops}" if found.stops else "")
        if await ctx.ask(key, question, choices=[GO_ON, "stop"]) != GO_ON:
            found.stops += 1
            return False
        found.still = found.still_tokens = 0
        return True


async def _files(ctx: AgentContext) -> Sequence[Artifact] | None:
    """The task's artifacts; None: there is no place for any."""
    try:
        return await ctx.artifacts.list()
    except ArtifactError:
        return None


def _known(found: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """The plan, where it names tools that there are.

    Raises:
        ValueError: it names others.
    """
    names = {each["name"] for each in tools}
    strange = [name for name in found.tools if name not in names]
    if strange:
        raise ValueError(
            f"tools: there is no {', '.join(strange[:10])}; there are {', '.join(sorted(names)) or 'none'}"
        )
    return found
