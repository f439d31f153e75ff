"""What a program is told when it begins, and what may be in the lines that it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pavo.adapters.commands.program import ProgramFailed
from pavo.agents.contract import (
    JSON,
    MAX_STEP_EVENTS,
    AgentContext,
    Event,
    FeedbackItem,
    Plan,
    PlanDraft,
    PlanStep,
    Step,
)

PROTOCOL: Final = 1
"""Told first; it grows when a program that keeps to the guide would be misunderstood."""


@dataclass(frozen=True, slots=True)
class _Members:
    """Of a line, by its type."""

    needed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


LINES: Final[Mapping[str, _Members]] = {
    "step": _Members(("checkpoint",), ("events", "messages", "progress", "total", "plan_step")),
    "emit": _Members(("name",), ("data",)),
    "ask": _Members(("key", "question"), ("choices", "schema", "expires", "default")),
    "call": _Members(("tool",), ("args", "key")),
    "artifact": _Members(("name",), ("path", "text", "base64", "media_type")),
    "delegate": _Members(("agent", "title", "prompt"), ("options", "key")),
    "search": _Members(("query",), ("limit",)),
    "messages": _Members((), ("after",)),
    "secret": _Members(("name",)),
    "plan": _Members(("summary", "steps"), ("answers",)),
    "done": _Members((), ("report", "checkpoint")),
}
"""What a program may say."""
ENDS: Final[Mapping[str, str]] = {"execute": "done", "plan": "plan", "revise": "plan"}
"""The line with which each piece of work ends."""


def begun(work: str, ctx: AgentContext, plan: Plan | None = None, checkpoint: JSON = None) -> dict[str, JSON]:
    """The first line of a piece of work."""
    return {
        "type": "start",
        "protocol": PROTOCOL,
        "work": work,
        "task": str(ctx.task_id),
        "title": ctx.title,
        "prompt": ctx.prompt,
        "options": dict(ctx.options),
        "attempt": ctx.attempt,
        "steps": ctx.steps,
        "step_key": ctx.step_key,
        "plan": None if plan is None else told_plan(plan),
        "checkpoint": checkpoint,
    }


def told_plan(plan: Plan) -> dict[str, JSON]:
    """A plan, for a program."""
    steps = [{"title": step.title, "detail": step.detail} for step in plan.steps]
    return {"version": plan.version, "summary": plan.summary, "steps": steps}


def told_feedback(feedback: Sequence[FeedbackItem]) -> list[JSON]:
    """What reviewers say, for a program."""
    return [{"id": item.id, "body": item.body, "step": item.step} for item in feedback]


def kind_of(said: Mapping[str, Any], work: str) -> str:
    """The type of a line, once its members are those of that type.

    Raises:
        ProgramFailed: they are not, or it does not belong in this piece of work.
    """
    kind = said.get("type")
    wrong = ("step",) if work != "execute" else ()
    known = [each for each in LINES if each not in wrong and (each not in ENDS.values() or each == ENDS[work])]
    if not isinstance(kind, str) or kind not in known:
        raise ProgramFailed(f"A line has the type {str(kind)[:50]!r}: in {work} use one of {', '.join(known)}.")
    members = LINES[kind]
    missing = [each for each in members.needed if each not in said]
    if missing:
        raise ProgramFailed(f"A line of type {kind} lacks the member {missing[0]!r}.")
    strange = [each for each in said if each != "type" and each not in (*members.needed, *members.others)]
    if strange:
        allowed = ", ".join((*members.needed, *members.others))
        raise ProgramFailed(f"A line of type {kind} has no member {strange[0][:50]!r}: it takes {allowed}.")
    return kind


def given(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the members that the line has."""
    return {name: said[name] for name in names if name in said}


def text(said: Mapping[str, Any], name: str) -> str:
    """A member that is a text."""
    return cast(str, _of_type(said, name, str, "a text"))


def members_of(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object, empty where there is none."""
    return cast(dict[str, Any], _of_type({name: said.get(name) or {}}, name, dict, "an object"))


def entries_of(said: Mapping[str, Any], name: str) -> list[Any]:
    """A member that is a list of objects, empty where there is none."""
    found = cast(list[Any], _of_type({name: said.get(name) or []}, name, list, "a list of objects"))
    if not all(isinstance(each, dict) for each in found):
        raise ProgramFailed(f"{name} must be a list of objects.")
    return found


def step_of(said: Mapping[str, Any]) -> Step:
    """The step that a line says; what its numbers and messages are worth is looked at where it is recorded."""
    events = entries_of(said, "events")
    if len(events) > MAX_STEP_EVENTS:
        raise ProgramFailed(f"A step has {len(events):,} events, more than {MAX_STEP_EVENTS:,}.")
    return Step(
        {"checkpoint": said["checkpoint"]},
        [Event(text(each, "type"), members_of(each, "data")) for each in events],
        messages=entries_of(said, "messages"),
        **given(said, "progress", "total", "plan_step"),
    )


def draft_of(said: Mapping[str, Any]) -> PlanDraft:
    """The plan that a line says."""
    steps = entries_of(said, "steps")
    return PlanDraft(
        text(said, "summary"),
        [PlanStep(text(each, "title"), text({"detail": "", **each}, "detail")) for each in steps],
    )


def _of_type(said: Mapping[str, Any], name: str, wanted: type, words: str) -> object:
    found = said.get(name)
    if not isinstance(found, wanted):
        raise ProgramFailed(f"{name} must be {words}, not {type(found).__name__}.")
    return found
