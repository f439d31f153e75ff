"""A Pavo agent that counts words, sentences and recurring phrases of the task's prompt, a paragraph a step."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from pavo.agents.contract import (
    JSON,
    Agent,
    AgentContext,
    Event,
    FeedbackItem,
    Plan,
    PlanDraft,
    PlanStep,
    Revision,
    Step,
)
from pavo.errors import AgentRefused

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?:\s|$)")
_KEPT = 2000
"""Words and phrases kept between steps: a checkpoint must stay small however long the text is."""


class WordCount(Agent):
    """Analyses `ctx.prompt`. Reviewers leave words out by naming them in quotes: leave out "Pavo"."""

    name: ClassVar[str] = "wordcount"
    description: ClassVar[str] = "Counts words, sentences and recurring phrases of the prompt."
    stop_grace: ClassVar[float] = 1.0
    options_schema: ClassVar[Mapping[str, JSON]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "top": {
                "type": "integer",
                "minimum": 1,
                "maximum": 100,
                "default": 10,
                "description": "How many words and phrases the report lists.",
            },
            "min_letters": {
                "type": "integer",
                "minimum": 1,
                "maximum": 30,
                "default": 4,
                "description": "Words with fewer letters are counted, but not listed.",
            },
        },
    }

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        paragraphs = _paragraphs(ctx.prompt)
        if not paragraphs:
            raise AgentRefused("The prompt is empty: put the text to analyse into it.")
        return PlanDraft(
            summary=f"Count what recurs in {len(paragraphs)} paragraphs.",
            steps=(
                PlanStep("Read", f"Go through the text paragraph by paragraph, {len(ctx.prompt):,} characters."),
                PlanStep("Count", f"Words of at least {ctx.options['min_letters']} letters, and pairs of them."),
                PlanStep("Report", f"List the {ctx.options['top']} most frequent of each."),
            ),
        )

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        steps = list(plan.steps)
        answers: dict[str, str] = {}
        for item in feedback:
            words = _quoted(item.body)
            if words:
                quoted = " ".join(f'"{word}"' for word in words)
                steps[1] = PlanStep(steps[1].title, f"{steps[1].detail}\nLeave out {quoted}.")
                answers[item.id] = f"Step 2 leaves out {quoted}."
            else:
                answers[item.id] = 'Not understood: name words in quotes to leave them out, like "this".'
        return Revision(PlanDraft(plan.summary, tuple(steps)), answers)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        paragraphs = _paragraphs(ctx.prompt)
        left_out = {word.casefold() for word in _quoted(plan.steps[1].detail)}
        state: dict[str, Any] = checkpoint or {"read": 0, "words": 0, "sentences": 0, "top": {}, "phrases": {}}
        for number in range(state["read"], len(paragraphs)):
            words = [word.casefold() for word in _WORD.findall(paragraphs[number])]
            listed = [word for word in words if len(word) >= ctx.options["min_letters"] and word not in left_out]
            sentences = max(1, len(_SENTENCE_END.findall(paragraphs[number]))) if words else 0
            state = {
                "read": number + 1,
                "words": state["words"] + len(words),
                "sentences": state["sentences"] + sentences,
                "top": _added(state["top"], listed),
                "phrases": _added(state["phrases"], [f"{a} {b}" for a, b in pairwise(listed)]),
            }
            event = Event("paragraph", {"number": number + 1, "words": len(words)})
            yield Step(state, [event], progress=number + 1, total=len(paragraphs))

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        state: dict[str, Any] = checkpoint
        mean = state["words"] / max(1, state["sentences"])
        lines = [f"# {ctx.title}", ""]
        lines.append(f"{state['words']:,} words in {state['sentences']:,} sentences, {mean:.1f} words each.")
        for heading, counts in (("Words", state["top"]), ("Phrases", state["phrases"])):
            lines += ["", f"## {heading}", "", "| | times |", "|---|---|"]
            frequent = [(text, n) for text, n in Counter(counts).most_common(ctx.options["top"])]
            lines += [f"| {text} | {n} |" for text, n in frequent]
        return "\n".join([*lines, ""])


def _paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


def _quoted(text: str) -> list[str]:
    return re.findall(r'"([^"\n]+)"', text)


def _added(counts: Mapping[str, int], found: Sequence[str]) -> dict[str, int]:
    total = Counter(counts)
    total.update(found)
    return dict(total.most_common(_KEPT))
