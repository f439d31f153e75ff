"""What an agent's process says is checked by the worker too: its code may change the checks there, or answer itself."""

import os
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn

import pytest
from sample_agents import Sample

from conftest import PLAN, opened, target_of
from pavo.agents import checks
from pavo.agents.code_version import CODE, EXIT_OTHER_CODE, CodeVersion
from pavo.agents.contract import JSON, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step
from pavo.agents.hosts import wire, worker_host
from pavo.agents.hosts.code_watch import CodeWatch
from pavo.errors import AgentDied, AgentError, AgentRefused, Unavailable

FEEDBACK = [FeedbackItem("f1", "more")]
_PLAN = PlanDraft("A plan", [PlanStep("one")])
ANSWERS: dict[str, dict[str, Any]] = {
    "plan": {
        "no steps": PlanDraft("A plan", []),
        "nul": PlanDraft("A plan", [PlanStep("\0")]),
        "large": PlanDraft("x" * 2_000_000, [PlanStep("one")]),
    },
    "revise": {"unanswered": Revision(_PLAN, {}), "more": Revision(_PLAN, {"f1": "yes", "f2": "what?"})},
    "execute": {
        "pavos event": Step(1, [Event("accepted", {"by": "nobody"})]),
        "pavos member": Step(1, [Event("note", {"seq": 1})]),
        "nul": Step("\0"),
        "surrogate": Step("\ud800"),
        "large": Step("x" * 2_000_000),
        "progress": Step(1, progress=2**40),
        "plan step": Step(1, plan_step=3),
        "many events": Step(1, [Event("note")] * 1001),
    },
    "report": {"nul": "\0", "large": "x" * 2_000_000},
}
"""What no agent may hand over, by method."""


class Forger(Sample):
    """Has its own process take whatever it hands over."""

    name = "forger"

    def _answer(self, ctx: AgentContext, method: str) -> Any:
        checks._refuse = lambda *_: None  # type: ignore[assignment]
        for check in ("checked_revision", "checked_step"):
            setattr(worker_host, check, lambda given, *_: given)
        return ANSWERS[method][ctx.options["what"]]

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return self._answer(ctx, "plan")

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return self._answer(ctx, "revise")

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield self._answer(ctx, "execute")

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> str:
        return self._answer(ctx, "report")


@pytest.mark.parametrize(("method", "what"), [(method, what) for method, each in ANSWERS.items() for what in each])
async def test_what_breaks_the_contract_is_refused_here_too(method: str, what: str) -> None:
    async with opened("process", Forger, what=what) as host:
        with pytest.raises(AgentRefused) as caught:
            match method:
                case "plan":
                    await host.plan()
                case "revise":
                    await host.revise(PLAN, FEEDBACK)
                case "execute":
                    await host.open(PLAN, None)
                    await host.next_step()
                case _:
                    await host.report(PLAN, None)
        assert len(caught.value.detail) <= 2000 and caught.value.remedy


class Excused(Sample):
    """Says, by its exit code or in the worker's own words, that somebody else is to blame."""

    name = "excused"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        if "exit" in ctx.options:
            os._exit(ctx.options["exit"])
        text, encode = "x\0" * 3000, wire.encode

        def fail(*_: Any) -> NoReturn:  # behind the boundary, which would look at what is raised
            wire.encode = encode
            if ctx.options["says"] == "away":
                raise Unavailable(text, dependency=CODE)
            raise AgentRefused(text, remedy=text)

        wire.encode = fail
        return _PLAN


async def _called_plan(**options: Any) -> tuple[Exception, list[str]]:
    """What planning failed by under a worker's watch, and how often that has had the worker begin anew."""
    begun: list[str] = []
    code = CodeVersion.found(target_of(Excused), "unknown")
    async with opened("process", Excused, **options) as host:
        try:
            await CodeWatch(lambda: begun.append("anew")).over(host, code).plan()
        except (AgentError, AgentDied, Unavailable) as error:
            return error, begun
    raise AssertionError("it failed by nothing")


async def test_an_exit_code_of_pavos_is_the_agents_own_once_it_runs() -> None:
    error, begun = await _called_plan(exit=EXIT_OTHER_CODE)
    assert isinstance(error, AgentDied) and error.detail == f"exit code {EXIT_OTHER_CODE}"
    assert not begun


async def test_an_outage_that_nobody_told_it_of_is_the_agents_error() -> None:
    error, begun = await _called_plan(says="away")
    assert isinstance(error, AgentError) and error.detail.startswith("Unavailable: x")
    assert "\0" not in error.detail and len(error.detail) < 2100
    assert not begun


async def test_what_it_says_of_its_refusal_is_bounded() -> None:
    error, _ = await _called_plan(says="refused")
    assert isinstance(error, AgentRefused)
    for text in (error.detail, error.remedy or ""):
        assert "\0" not in text and len(text) == 2000
