"""The agent `llm` goes on with a task that was done: planned and worked off with what was said before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pavo.agents.contract import AgentContext, Former, Plan, PlanStep, Step, UserMessage
from pavo.agents.llm_agent.agent import LlmAgent
from pavo.agents.options import completed_options
from pavo.testing.corpus import MemoryCorpus
from pavo.testing.models import TriedModels
from pavo.testing.tools import TriedTools
from pavo.testing.transcript import MemoryTranscript
from pavo.testing.trial import AgentTrial
from pavo.transcripts.domain import Transcript
from tests.llm_agent.model import Model, calls


def price(of: str) -> dict[str, int]:
    """The price of a thing."""
    return {"price": 7}


class Followed:
    """Somebody said two things to a task that was done."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        at = datetime(2026, 11, 26, tzinfo=UTC)
        told = [(4, "Long ago."), (30, "And a nut?"), (31, "In euros.")]
        return [UserMessage(seq, body, "ada@example.com", at) for seq, body in told if seq > after]

    async def former(self) -> Former:
        return Former(self._plan, "A bolt is 7.", await self.messages(29))


async def test_a_follow_up_is_planned_and_carried_out_with_what_was_said_before() -> None:
    agent, transcript = LlmAgent(), MemoryTranscript()
    options = completed_options(LlmAgent.options_schema, {})
    ctx = AgentContext(uuid4(), uuid4(), "Prices", "What is a bolt?", options, MemoryCorpus(()))
    tools = TriedTools({"price": price}, {})
    ctx = replace(ctx, tools=tools, transcript=Transcript(transcript))
    plan = Plan(1, "h", "Know it.\n\nTools: `price`", [PlanStep("Look it up"), PlanStep("Say it")])
    transcript.add(Step(None, messages=[{"tools": []}, {"role": "system", "content": "S"}]), 1, 1)
    transcript.add(Step(None, messages=[{"role": "user", "content": "What is a bolt?"}]), 1, 1)
    transcript.add(Step(None, messages=[calls(("price", {"of": "bolt"}), text="I look.")]), 1, 2)
    transcript.add(Step(None, messages=[{"role": "tool", "tool_call_id": "call_0", "content": "It is 7."}]), 1, 2)
    before = [dict(each.data) for each in transcript.messages]

    again = Model([calls(("price", {"of": "nut"})), "A nut is 7."])
    followed = replace(ctx, inbox=Followed(plan), models=TriedModels(again))
    await agent.plan(followed)
    [asked_to_plan] = again.asked
    told_then = json.dumps(asked_to_plan["messages"])
    for part in ("What is a bolt?", "Know it.", "A bolt is 7.", "And a nut?", "In euros."):
        assert part in told_then
    assert "Long ago." not in told_then

    def answer(request: Mapping[str, Any]) -> Any:
        asked_to_work.append(request)
        return calls(("price", {"of": "nut"})) if len(asked_to_work) == 1 else "A nut is 7."

    asked_to_work = list[Mapping[str, Any]]()
    checkpoint, number = None, 0
    while checkpoint is None or checkpoint["result"] is None:
        # In each attempt anew, as after a crash: what the model is shown comes from the transcript.
        followed = replace(followed, models=TriedModels(answer))
        recorded = await anext(aiter(agent.execute(followed, replace(plan, version=2), checkpoint)))
        number += 1
        transcript.add(recorded, 2, number)
        checkpoint = recorded.checkpoint
    first, second = ([dict(each) for each in request["messages"]] for request in asked_to_work)
    assert [each["role"] for each in first] == ["system", "user", "assistant", "tool", "user"]
    assert first[2]["content"] == "I look." and first[2]["tool_calls"][0]["id"] == first[3]["tool_call_id"]
    assert "And a nut?" in first[4]["content"] and "A bolt is 7." in first[4]["content"]
    assert second[: len(first)] == first, "the same beginning, byte for byte"
    ids = [call["id"] for each in second for call in each.get("tool_calls", [])]
    assert len(ids) == len(set(ids)) == 2
    assert [dict(each.data) for each in transcript.messages][: len(before)] == before, "what was said is not said again"
    assert sum("I look." in json.dumps(dict(each.data)) for each in transcript.messages) == 1
    assert not any(each.data.get("content") == "says: And a nut?" for each in transcript.messages)


async def test_a_follow_up_disturbed_at_every_checkpoint_is_the_same() -> None:
    at = datetime(2026, 11, 26, tzinfo=UTC)
    plan = Plan(1, "h", "Know it.\n\nTools: `price`", [PlanStep("Look it up"), PlanStep("Say it")])
    former = Former(plan, "A bolt is 7.", [UserMessage(30, "And a nut?", "ada@example.com", at)])
    turns = [calls(("price", {"of": "nut"})), "A nut is 7."]
    given: dict[str, Any] = {"models": Model(turns), "tools": {"price": price}, "feedback": (), "former": former}
    outcome = await AgentTrial(LlmAgent, title="Prices", prompt="What is a bolt?", **given).check_all()
    assert "A nut is 7." in outcome.report
    assert any("And a nut?" in json.dumps(message) for message in outcome.messages)
