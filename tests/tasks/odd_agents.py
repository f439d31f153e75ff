"""Agents that yield what is odd, and one that cannot keep a secret; installed as a plug-in by `install`."""

import uuid
from collections import namedtuple
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pavo.agents.contract import Agent, AgentContext, Event, FeedbackItem, Plan, PlanDraft, PlanStep, Revision, Step

NUMBERS: list[Any] = [1e22, 1e16, 1.2345678901234567e19, 1e308, 5e-324, 1.0, 2**53 + 1, 2**63 - 1, 2**64 - 1]
Pair = namedtuple("Pair", "x y")
ODD: dict[str, Any] = {
    "good": {"numbers": NUMBERS, "pair": Pair(1, (2,)), "zero": -0.0},
    "large": {"n": 2**64},
    "uuid": uuid.UUID(int=1),
    "deep": [],
}
"""What `options.what` has the agent yield."""
KEPT: dict[str, Any] = {"numbers": NUMBERS, "pair": [1, [2]], "zero": 0.0}
"""What becomes of what is good."""
SECRET = "THE-SECRET-THAT-AN-ERROR-TELLS"
for _ in range(300):
    ODD["deep"] = [ODD["deep"]]


class Odd(Agent):
    """Yields a checkpoint and the same as an event, and fails; the next event tells how the checkpoint came back."""

    name: ClassVar[str] = "odd"
    isolation: ClassVar[Any] = "worker"
    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object", "properties": {"what": {"default": "good"}}}

    async def plan(self, ctx: AgentContext) -> PlanDraft:
        return PlanDraft("Be odd.", [PlanStep("Odd")])

    async def revise(self, ctx: AgentContext, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        raise RuntimeError(SECRET)

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> AsyncIterator[Step]:
        if ctx.options["what"] == "secret":
            raise RuntimeError(SECRET)
        odd = ODD[ctx.options["what"]]
        if checkpoint is None:
            yield Step(odd, [Event("measured", {"v": odd})])
            raise RuntimeError("Give it back to me.")
        elif "back" not in checkpoint:
            yield Step({"back": 1}, [Event("came_back", {"text": repr(sorted(checkpoint.items()))})])

    async def report(self, ctx: AgentContext, plan: Plan, checkpoint: Any) -> str:
        return "Odd."


class OddApart(Odd):
    """The same in a process of its own."""

    name: ClassVar[str] = "odd_apart"
    isolation: ClassVar[Any] = "process"


def install(folder: Path) -> None:
    """Make a plug-in distribution in `folder`, as pip would leave it."""
    info = folder / "odd_agents-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "odd_agents.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-agents\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pavo.agents]\nodd = odd_agents:Odd\nodd_apart = odd_agents:OddApart\n")
    (info / "RECORD").write_text("")
