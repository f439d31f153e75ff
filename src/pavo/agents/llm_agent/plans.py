"""Plans as a model writes them, and as people read them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pavo.agents.contract import FeedbackItem, Former, Hit, Plan, PlanDraft, PlanStep
from pavo.agents.llm_agent.wording import followed

MAX_STEPS: Final = 50
MAX_TEXT: Final = 4_000
MAX_TOOLS: Final = 100

_TOOLS: Final = "Tools: "
_NAMED: Final = re.compile(r"`([^`\s]+)`")


class StepOut(BaseModel):
    """A step of a plan."""

    model_config = ConfigDict(extra="ignore")

    title: str = Field(min_length=1, max_length=300)
    detail: str = Field("", max_length=MAX_TEXT)


class PlanOut(BaseModel):
    """What the model is to answer."""

    model_config = ConfigDict(extra="ignore")

    goal: str = Field(min_length=1, max_length=MAX_TEXT)
    steps: list[StepOut] = Field(min_length=1, max_length=MAX_STEPS)
    risks: list[str] = Field(default_factory=list[str], max_length=MAX_STEPS)
    tools: list[str] = Field(default_factory=list[str], max_length=MAX_TOOLS)

    def draft(self) -> PlanDraft:
        """The plan as people read it: goal, risks and tools in its summary, where `tools_of` finds them again."""
        parts = [self.goal.strip()]
        if self.risks:
            parts.append("Risks:\n" + "\n".join(f"- {_line(risk)}" for risk in self.risks))
        parts.append(_TOOLS + (", ".join(f"`{name}`" for name in dict.fromkeys(self.tools)) or "none"))
        return PlanDraft("\n\n".join(parts), tuple(PlanStep(_line(each.title), each.detail) for each in self.steps))


class AnswerOut(BaseModel):
    """What became of a comment."""

    model_config = ConfigDict(extra="ignore")

    comment: str
    """Its number, as it was shown."""
    answer: str = Field(min_length=1, max_length=MAX_TEXT)


class RevisionOut(PlanOut):
    """A new plan, and an answer to each comment."""

    answers: list[AnswerOut]


def tools_of(plan: Plan) -> frozenset[str]:
    """The tools that the plan names: those that people accepted with it."""
    lines = [line for line in plan.summary.splitlines() if line.startswith(_TOOLS)]
    return frozenset(_NAMED.findall(lines[-1])) if lines else frozenset()


def schema_of(kind: type[BaseModel], tools: Sequence[str], comments: int = 0) -> dict[str, Any]:
    """The form that the model's answer is to have; of tools it may name those that there are, of comments too."""
    schema = kind.model_json_schema()
    schema["properties"]["tools"]["items"] = {"enum": list(tools)} if tools else {"type": "string"}
    if comments:
        schema["properties"]["answers"]["minItems"] = comments
        numbers = [str(number) for number in range(1, comments + 1)]
        schema["$defs"]["AnswerOut"]["properties"]["comment"]["enum"] = numbers
    return schema


def plan_request(
    title: str, prompt: str, hits: Sequence[Hit], tools: Sequence[Mapping[str, Any]], former: Former | None = None
) -> str:
    """What the model is told, to plan."""
    past = [] if former is None else [followed(former)]
    parts = [f"# Task\n{title}\n\n{prompt}".rstrip(), *past, _tools_told(tools)]
    if hits:
        found = "\n".join(f"- {hit.title}: {_line(hit.excerpt)}" for hit in hits)
        parts.append(f"# What the organisation's documents say\n{found}")
    parts.append(
        "# What to do\nWrite a plan; do not carry it out. Answer one JSON object and nothing else: `goal` (what will "
        "be there when it is done), `steps` (each with `title` and `detail`, in the order of the work), `risks`, and "
        "`tools` (the names of those that the plan needs: others are not at hand without asking people)."
    )
    return "\n\n".join(parts)


def revision_request(plan: Plan, feedback: Sequence[FeedbackItem]) -> str:
    """What the model is told, to revise a plan."""
    steps = "\n".join(f"{number}. {step.title}\n{step.detail}".rstrip() for number, step in enumerate(plan.steps, 1))
    comments = "\n".join(
        f"- comment {number} ({'step ' + str(item.step) if item.step else 'the whole plan'}): {item.body}"
        for number, item in enumerate(feedback, 1)
    )
    return (
        f"# The plan so far\n{plan.summary}\n\n{steps}\n\n# Comments of its reviewers\n{comments}\n\n"
        "# What to do\nWrite the plan anew, as one JSON object of the same form, with one member more: `answers`, for "
        'each comment an object {"comment": its number, "answer": what you did about it}.'
    )


def answers_of(revision: RevisionOut, feedback: Sequence[FeedbackItem]) -> dict[str, str]:
    """The answers by the ids of the comments.

    Raises:
        ValueError: a comment has none.
    """
    said = {_number(each.comment): each.answer for each in revision.answers}
    missing = [str(number) for number in range(1, len(feedback) + 1) if number not in said]
    if missing:
        raise ValueError(f"answers: there is none to comment {', '.join(missing)}")
    return {item.id: said[number] for number, item in enumerate(feedback, 1)}


def json_in(text: str) -> Any:
    """The JSON of an answer, also where it stands in a fence of Markdown.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"```(?:json)?\s*\n(.*?)```", text, re.S)
    return json.loads(found[1] if found else text)


def _number(text: str) -> int:
    found = re.search(r"\d{1,6}", text)
    return int(found[0]) if found else 0


def _tools_told(tools: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"- `{each['name']}` ({each['effect']}): {_line(each['description'])[:300]}" for each in tools]
    return "# Tools\n" + ("\n".join(lines) or "There are none.")


def _line(text: str) -> str:
    return " ".join(text.split())
