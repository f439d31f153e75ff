"""`pavo.testing` passes the agent that keeps its contract, and finds each that does not, in both isolations."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pavo.agents.contract import (
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
from pavo.testing import AgentTrial, ContractBroken
from tests.testing import tried_agents as agents

pytest_plugins = ["pavo.testing.pytest_plugin"]
Trials = Callable[..., AgentTrial]


class Ledger:
    """The outside world: a folder of receipts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def reset(self) -> None:
        for receipt in self._folder.iterdir():
            receipt.unlink()

    def receipts(self) -> list[str]:
        return sorted(receipt.read_text() for receipt in self._folder.iterdir())

    def of(self, agent: type[Agent], trial: Trials, **more: Any) -> AgentTrial:
        options = {"ledger": str(self._folder)}
        return trial(agent, options=options, reset=self.reset, outside=self.receipts, **more)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def test_a_good_agent_passes_every_check(agent_trial: Trials, ledger: Ledger) -> None:
    trial = ledger.of(agents.Good, agent_trial, documents={"A memo": "about a trial"})
    outcome = trial.check(every=2)
    assert outcome.checkpoints == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert outcome.outside == ["1", "2", "3"] and outcome.report == "Counted to 3."
    assert outcome.plan.version == 2 and "author ['A memo']" in outcome.plan.summary


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (agents.PlansNothing, "plan() failed: The plan has no steps"),
        (agents.Unanswering, "revise() failed: revise() left feedback unanswered: f2"),
        (agents.Unstorable, "The checkpoint cannot be recorded"),
        (agents.YieldsNoStep, "execute() yielded dict, not a Step"),
        (agents.OffThePlan, "Step.plan_step is 2"),
        (agents.ReportsNothing, "report() failed: report() returned NoneType"),
        (agents.Raises, "ValueError: no work today"),
    ],
)
def test_what_breaks_the_contract_is_named(agent_trial: Trials, agent: type[Agent], said: str) -> None:
    with pytest.raises(ContractBroken) as broken:
        agent_trial(agent).check()
    assert said in str(broken.value) and agent.__name__ in str(broken.value)


def test_what_describes_no_agent_is_named() -> None:
    class Local(agents.Good):
        pass

    for agent, options, said in (
        (agents.Nameless, {}, "has no name"),
        (agents.WrongSchema, {}, "options_schema is no JSON Schema"),
        (agents.Unfinished, {}, "lacks execute, plan, report, revise"),
        (Local, {}, "a class inside a function"),
        (agents.Good, {"m": 1}, "has no option 'm'"),
        (agents.Good, {"n": "three"}, "'three' is not of type 'integer'"),
    ):
        with pytest.raises(ContractBroken, match=said):
            AgentTrial(agent, options=options).check()  # pyright: ignore[reportAbstractUsage]


def test_a_death_an_endless_one_and_one_that_hangs_are_named() -> None:
    with pytest.raises(ContractBroken, match=r"its process died in execute.*exit code 3"):
        AgentTrial(agents.Dies).check()
    with pytest.raises(ContractBroken, match="more than 20 checkpoints"):
        AgentTrial(agents.Endless, isolation="worker", max_checkpoints=20).check()
    with pytest.raises(ContractBroken, match=r"did not answer within 0.2 s"):
        AgentTrial(agents.Hangs, isolation="worker", seconds=0.2).check()


@pytest.mark.parametrize("agent", [agents.BeginsAgain, agents.KeepsStateInItself])
def test_an_agent_that_forgets_is_found_by_its_re_entry(agent_trial: Trials, agent: type[Agent]) -> None:
    trial = agent_trial(agent, max_checkpoints=20)
    asyncio.run(trial.check_contract())
    with pytest.raises(ContractBroken, match="checkpoints"):
        asyncio.run(trial.check_reentry(every=2))


def test_what_happens_twice_outside_is_found_by_the_cuts(agent_trial: Trials, ledger: Ledger) -> None:
    trial = ledger.of(agents.PaysTwice, agent_trial)
    asyncio.run(trial.check_reentry(every=2))
    with pytest.raises(ContractBroken, match=r"leaves another outside.*step_key"):
        asyncio.run(trial.check_cuts(every=2))


def test_an_agent_that_hears_no_stop_is_found(agent_trial: Trials) -> None:
    with pytest.raises(ContractBroken, match=r"did not leave within its stop_grace of 0.2 s"):
        asyncio.run(agent_trial(agents.Deaf).check_cancellation())
    asyncio.run(agent_trial(agents.Listens).check_cancellation())


def test_an_agent_that_does_not_let_go_is_found(agent_trial: Trials) -> None:
    with pytest.raises(ContractBroken, match="did not end within 2 s when its generator was closed"):
        asyncio.run(agent_trial(agents.HoldsOn).check_reentry(every=2))


def test_a_trial_compares_what_it_is_told_to() -> None:
    trial = AgentTrial(agents.KeepsStateInItself, isolation="worker", same=lambda outcome: len(outcome.steps))
    asyncio.run(trial.check_reentry())


class Speaking(Agent):
    """Says each letter of its prompt, and records it."""

    name = "speaking"

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        ctx.emit("thought", {"text": "hm"})
        return PlanDraft("s", [PlanStep("one")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("s", [PlanStep("one")]), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        for number in range(checkpoint or 0, len(ctx.prompt)):
            ctx.emit("text", {"text": ctx.prompt[number]})
            ctx.emit("text", {"text": "!", "last": True})
            yield Step(number + 1)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "r"


@pytest.mark.parametrize("isolation", ["worker", "process"])
def test_what_an_agent_emits_is_seen(isolation: Isolation) -> None:
    said = AgentTrial(Speaking, prompt="ab", isolation=isolation, feedback=()).check().said
    expected = {"a": {"text": "a!", "last": True}, "b": {"text": "b!", "last": True}}
    assert said == {0: {"thought": {"text": "hm"}}, 1: {"text": expected["a"]}, 2: {"text": expected["b"]}}


class Beside(Agent):
    """Asks, while another coroutine of its works for a while; or waits for one that asks."""

    name = "beside"
    begun: ClassVar[list[str]] = []

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("s", [PlanStep("one")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return Revision(PlanDraft("s", [PlanStep("one")]), {item.id: "yes" for item in feedback})

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        asked = asyncio.Event()

        async def other() -> None:
            if ctx.prompt == "works":
                self.begun.append("work")
                await asyncio.sleep(0.3)
                self.begun.append("done")
            else:
                await asked.wait()

        working = asyncio.create_task(other())
        answer = await ctx.ask("go", "Go?")
        asked.set()
        await working
        yield Step(answer)

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return checkpoint


@pytest.mark.parametrize("prompt", ["works", "waits"])
def test_a_question_waits_for_what_works_and_for_nothing_that_waits(prompt: str) -> None:
    Beside.begun.clear()
    trial = AgentTrial(Beside, prompt=prompt, isolation="worker", feedback=(), answers={"go": "yes"})
    outcome = asyncio.run(trial.run())
    assert outcome.report == "yes"
    assert Beside.begun == (["work", "done"] * 2 if prompt == "works" else []), "it was cut in its middle"
