"""The agent `llm` against a made-up model: its whole life, disturbed at every checkpoint; and what models get wrong."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from pavo.agents.contract import AgentContext, FeedbackItem, Plan, PlanStep, Spent, Step
from pavo.agents.llm_agent.agent import LlmAgent
from pavo.agents.llm_agent.conversation import Conversation
from pavo.agents.llm_agent.reports import report_of
from pavo.agents.llm_agent.turns import wanted_of
from pavo.agents.options import completed_options
from pavo.artifacts.domain import Artifact
from pavo.errors import PavoError
from pavo.testing.corpus import MemoryCorpus
from pavo.testing.models import TriedModels
from pavo.testing.outcome import ContractBroken, Outcome
from pavo.testing.tools import TriedTools
from pavo.testing.transcript import MemoryTranscript
from pavo.testing.trial import AgentTrial
from pavo.transcripts.domain import Transcript
from tests.llm_agent.model import PLAN, Model, calls, step, told

asked: list[str] = []


def price(of: str) -> dict[str, int]:
    """The price of a thing."""
    asked.append(of)
    return {"price": 7}


def pay(amount: int) -> str:
    """Pay."""
    asked.append(f"pay {amount}")
    return "paid"


def broken() -> str:
    """Fail."""
    raise RuntimeError("no luck")


def trial(model: Model, **more: Any) -> AgentTrial:
    tools = {"price": price, "pay": pay, "broken": broken}
    given: dict[str, Any] = {"models": model, "tools": tools, "feedback": (), "reset": asked.clear, **more}
    return AgentTrial(LlmAgent, title="Prices", **{"prompt": "What is a bolt?", **given})


async def lived(model: Any, **more: Any) -> Outcome:
    return await trial(model, **more).run()


THREE = calls(step(1), ("price", {"of": "bolt"}), ("price", {"of": "nut"}), ("price", {"of": "bolt"}))
TURNS = [THREE, calls(step(1, "done", "It is in the list."), step(2)), "A bolt is 7."]


async def test_its_life_is_the_same_however_it_is_disturbed() -> None:
    outcome = await trial(Model(TURNS), outside=lambda: list(asked)).check_all()
    assert "A bolt is 7." in outcome.report and "1. **Look it up**: done: It is in the list." in outcome.report
    assert "2. **Say it**: begun, and not said to be done" in outcome.report and "3 calls of tools" in outcome.report
    assert sorted(outcome.outside) == ["bolt", "bolt", "nut"]


async def test_comments_are_answered_each() -> None:
    answers = [{"comment": "comment 1", "answer": "Made sure."}, {"comment": "2", "answer": "Said less."}]
    first = {**PLAN, "answers": answers[:1]}
    revised = {**PLAN, "goal": "Know it for sure.", "answers": answers}
    plain, commented = Model(TURNS), Model(TURNS, [first, revised])

    def answer(request: Any) -> Any:
        asks = "Comments of its reviewers" in json.dumps(request["messages"])
        return (commented if asks else plain)(request)

    outcome = await lived(answer, feedback=(FeedbackItem("f1", "Be sure."), FeedbackItem("f2", "Less.", 1)))
    assert outcome.plan.summary.startswith("Know it for sure.\n\nRisks:\n- The list may be old.\n\nTools: `price`")
    again = commented.asked[1]["messages"][-1]["content"]
    assert "there is none to comment 2" in again and len(commented.asked) == 2


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("I would look it up.", "JSONDecodeError"),
        ({**PLAN, "steps": []}, "steps: List should have at least 1 item"),
        ({**PLAN, "goal": 5}, "goal: Input should be a valid string"),
        ({**PLAN, "tools": ["price", "rm"]}, "there is no rm; there are broken, pay, price"),
        ("[" * 100_000, "RecursionError"),
    ],
)
async def test_a_malformed_plan_goes_back_and_three_times_at_most(wrong: Any, why: str) -> None:
    model = Model(TURNS, [wrong, wrong, wrong, PLAN])
    outcome = await lived(model)
    assert "A bolt is 7." in outcome.report
    said = [request["messages"][-1]["content"] for request in model.asked[1:4]]
    assert all(each.startswith("That cannot be used: ") and why in each for each in said)
    with pytest.raises((ContractBroken, PavoError), match="no PlanOut that can be used, after 4 tries"):
        await lived(Model(TURNS, [wrong]))


async def test_a_plan_in_a_fence_is_one() -> None:
    assert "7" in (await lived(Model(TURNS, [f"Here:\n```json\n{json.dumps(PLAN)}\n```"]))).report


async def test_what_the_plan_does_not_name_is_asked_first() -> None:
    wants = calls(("pay", {"amount": 5}), ("price", {"of": "nut"}))
    turns = [wants, calls(("pay", {"amount": 6})), lambda request: " and ".join(told(request))]
    denied = await lived(Model(turns), answers={"llm/tool/0/0": "deny", "llm/tool/1/0": "allow this call"})
    assert 'do not allow this call of pay and {"price": 7} and paid' in denied.report
    assert asked == ["nut", "pay 6"]
    allowed = await lived(Model(turns), answers={"llm/tool/0/0": "allow the tool in this task"})
    assert 'paid and {"price": 7} and paid' in allowed.report and sorted(asked) == ["nut", "pay 5", "pay 6"]


async def test_each_of_several_parallel_questions_gets_its_own_answer() -> None:
    wants = calls(("pay", {"amount": 1}), ("pay", {"amount": 2}), ("pay", {"amount": 3}))
    answers = {"llm/tool/0/0": "deny", "llm/tool/0/1": "allow this call", "llm/tool/0/2": "deny"}
    await lived(Model([wants, "Done."]), answers=answers)
    assert asked == ["pay 2"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (("nothing", {}), "there is no function 'nothing'"),
        (("price", '{"of": '), "its arguments are no JSON"),
        (("price", "[1]"), "no JSON object"),
        (("price", {"of": "a\0b"}), "its arguments are no JSON"),
        (("price", '{"of": NaN}'), "its arguments are no JSON"),
        (("price", {"of": 5}), "args.of"),
        (("price", {"of": "x" * 300_000}), "they are too many"),
        (("plan_step", {"number": 9, "state": "done"}), "the plan has steps 1 to 2"),
        (("plan_step", {"number": True}), "the plan has steps 1 to 2"),
        (("broken", {}), "no luck"),
        (("a" * 500, {}), "there is no function"),
    ],
)
async def test_calls_that_are_none_are_told_to_the_model(wanted: tuple[str, Any], why: str) -> None:
    model = Model([calls(wanted), lambda request: told(request)[0]], [{**PLAN, "tools": ["price", "broken"]}])
    outcome = await lived(model)
    assert "error: " in outcome.report and why in outcome.report and asked == []


async def test_answers_that_are_nonsense_do_no_harm() -> None:
    nonsense: list[Any] = [
        {
            "role": "assistant",
            "content": "a\0b\ud800",
            "tool_calls": [5, {"function": "x"}, {}, {"function": {"name": 5}}],
        },
        {"role": "assistant", "content": None, "tool_calls": "none"},
        "Enough.",
    ]
    outcome = await lived(Model(nonsense))
    assert "Enough." in outcome.report
    many = await lived(Model([calls(*[("price", {"of": str(n)}) for n in range(60)]), "Done."]))
    assert "50 calls of tools" in many.report


async def test_the_same_call_again_and_again_is_asked_about() -> None:
    again = calls(("price", {"of": "bolt"}))
    turns = [again, again, again, lambda request: told(request)[-1]]
    [key] = [f"llm/again/2/{wanted_of(again)[0].hash}"]
    outcome = await lived(Model(turns), options={"same_calls": 2}, answers={key: "do not"})
    assert "often enough" in outcome.report and asked == ["bolt", "bolt"]
    outcome = await lived(Model(turns), options={"same_calls": 2}, answers={key: "go on"})
    assert asked == ["bolt"] * 3


async def test_turns_without_progress_are_asked_about() -> None:
    turns = [*[calls(("price", {"of": str(n)})) for n in range(4)], "Done."]
    answers = {"llm/still/2": "go on", "llm/still/4": "go on"}
    assert "Done." in (await lived(Model(turns), options={"still_turns": 2}, answers=answers)).report
    with pytest.raises((ContractBroken, PavoError), match="no progress"):
        await lived(Model(turns), options={"still_turns": 2}, answers={"llm/still/2": "stop"})


async def test_tokens_without_progress_are_asked_about() -> None:
    def taking(message: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": message} if isinstance(message, str) else message
        usage = {"prompt_tokens": 600, "completion_tokens": 100}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}

    wanted = [calls(("price", {"of": str(n)})) for n in range(3)]
    turns = [*map(taking, wanted), taking(calls(step(1))), taking(calls(("price", {"of": "4"}))), taking("Done.")]
    options = {"still_tokens": 1_400}
    assert "Done." in (await lived(Model(turns), options=options, answers={"llm/still/2": "go on"})).report
    with pytest.raises((ContractBroken, PavoError), match="no progress"):
        await lived(Model(turns), options=options, answers={"llm/still/2": "stop"})
    assert "Done." in (await lived(Model(turns), options={"still_tokens": 5_000})).report


def long(n: int) -> dict[str, Any]:
    """Answer much."""
    asked.append(str(n))
    return {"n": n, "text": "x" * 400}


def next_long(request: Any) -> Any:
    """The next of forty, by what the messages say: their number falls."""
    last = told(request)[-1:] or ["-1 "]
    number = int(json.loads(last[0])["n"]) + 1 if last[0].startswith("{") else 0
    return calls(("long", {"n": number})) if number < 40 else "Done."


SHORT = {"window_bytes": 6_000}


def of_turns(model: Model) -> list[list[Any]]:
    return [list(request["messages"]) for request in model.asked if request.get("tools")]


@pytest.mark.parametrize("compaction", ["summary", "cut", "off"])
async def test_a_long_conversation_goes_on_whatever_is_shown_of_it(compaction: str) -> None:
    model = Model([next_long], [{**PLAN, "tools": ["long"]}])
    given: dict[str, Any] = {"tools": {"long": long}, "options": {"compaction": compaction, **SHORT}}
    outcome = await trial(model, **given, outside=lambda: list(asked)).check_all(every=7)
    assert outcome.outside == [str(n) for n in range(40)], "each once, in turn"
    assert max(len(json.dumps(each)) for each in outcome.checkpoints) < 6_000, "positions alone"
    kept = [json.loads(each["content"])["n"] for each in outcome.messages if each.get("role") == "tool"]
    assert kept == list(range(40)), "nothing is lost from the transcript"
    for messages in of_turns(model):
        wanted = {call["id"] for message in messages for call in message.get("tool_calls", [])}
        answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
        assert wanted == set(answered) and len(answered) == len(wanted), "a call and its answer stay together"
    compacted = [event.data for step in outcome.steps for event in step.events if event.type == "compacted"]
    largest = max(len(json.dumps(messages)) for messages in of_turns(model))
    assert (largest > 20_000) == (compaction == "off") == (not compacted)
    summaries = [each for each in outcome.messages if "In short: the price is 7." in str(each.get("content"))]
    assert len(summaries) == (len(compacted) if compaction == "summary" else 0)
    assert f"summed up {len(compacted)} times" in outcome.report or not summaries


async def test_a_task_that_is_longer_than_the_window_is_not_compacted_for_ever() -> None:
    model = Model(TURNS)
    outcome = await lived(model, prompt="What is a bolt? " * 12_000, options=SHORT)
    assert "A bolt is 7." in outcome.report and len(of_turns(model)) == 3
    assert "".join(each["content"] for each in of_turns(model)[0][1:]).count("What is a bolt?") == 12_000


async def test_a_new_plan_begins_a_conversation_of_its_own_after_the_old_one() -> None:
    """The transcript is the task's, for its whole life: what was said before stays there, and is not shown."""
    agent, transcript, model = LlmAgent(), MemoryTranscript(), Model(TURNS)
    transcript.add(Step(None, messages=[{"role": "user", "content": "Of another plan."}]), 1, 1)
    options = completed_options(LlmAgent.options_schema, {})
    ctx = AgentContext(uuid4(), uuid4(), "Prices", "What is a bolt?", options, MemoryCorpus(()))
    given: dict[str, Any] = {"tools": TriedTools({}, {}), "models": TriedModels(model)}
    ctx = replace(ctx, **given, transcript=Transcript(transcript))
    plan = Plan(2, "h", "Know it.\n\nTools: `price`", [PlanStep("Look it up")])
    first = await anext(aiter(agent.execute(ctx, plan, None)))
    assert first.checkpoint["head"] == 2 and not model.asked, "recorded before the model is asked"
    transcript.add(first, 2, 2)
    await anext(aiter(agent.execute(ctx, plan, first.checkpoint)))
    assert "Of another plan." not in json.dumps(model.asked[0]["messages"])
    assert "What is a bolt?" in json.dumps(model.asked[0]["messages"])


async def test_long_answers_are_called_whole_and_shown_cut() -> None:
    model = Model([calls(("price", {"of": "\x01" * 40_000}), text="é" * 90_000), "w" * 900_000])
    outcome = await lived(model)
    assert asked == ["\x01" * 40_000]
    kept = next(each for each in of_turns(model)[1] if each["role"] == "assistant")
    assert '"cut"' in kept["tool_calls"][0]["function"]["arguments"] and len(kept["content"]) == 30_000 - 1
    assert 600_000 < len(outcome.report) < 800_000


async def test_ids_are_ours_and_unique() -> None:
    model = Model([THREE, THREE, "Done."])
    await lived(model, options={"same_calls": 100})
    ids = [call["id"] for message in model.asked[-1]["messages"] for call in message.get("tool_calls", [])]
    assert len(ids) == len(set(ids)) == 8 and not any(each.startswith("call_") for each in ids)


async def test_options_reach_the_model() -> None:
    model = Model(TURNS)
    await lived(
        model, options={"model": "other", "temperature": 0.5, "instructions": "Be brief.", "structured": "json_object"}
    )
    assert {request["model"] for request in model.asked} == {"other"}
    assert all("Be brief." in request["messages"][0]["content"] for request in model.asked)
    assert model.asked[0]["response_format"] == {"type": "json_object"}


async def test_where_the_model_is_changed_within_a_turn_its_recorded_answer_is_carried_out() -> None:
    agent, transcript = LlmAgent(), MemoryTranscript()
    model = Model([calls(("pay", {"amount": 5})), "Done."])
    models, plan = TriedModels(model), Plan(2, "h", "Know it.\n\nTools: none", [PlanStep("Look it up")])

    def context(**options: Any) -> AgentContext:
        found = AgentContext(
            uuid4(), uuid4(), "Prices", "Why?", completed_options(LlmAgent.options_schema, options), MemoryCorpus(())
        )
        given: dict[str, Any] = {"tools": TriedTools({"pay": pay}, {}), "models": models}
        return replace(found, **given, transcript=Transcript(transcript))

    asked.clear()
    first = await anext(aiter(agent.execute(context(), plan, None)))
    transcript.add(first, 2, 1)
    with pytest.raises(PavoError):  # nobody is there to be asked about the call
        await anext(aiter(agent.execute(context(), plan, first.checkpoint)))
    changed = aiter(agent.execute(context(model="other"), plan, first.checkpoint))
    second = await anext(changed)
    assert [event.type for event in second.events] == ["asks_another"]
    with pytest.raises(PavoError) as found:
        await anext(changed)
    assert "names another call" not in found.value.detail and len(model.asked) == 1, "it is asked about pay again"


def much() -> str:
    """Answer 100 KB."""
    asked.append("much")
    return f"{'Zeile für Zeile.' * 3_000}The word is kingfisher.{'Zeile für Zeile.' * 3_000}"


def reading(request: Any) -> Any:
    """Read on where the last part ended; the first one begins in the middle of a character, perhaps."""
    found = [json.loads(each) for each in told(request)]
    offset = found[-1]["next_offset"] if len(found) > 1 else 42_001
    assert "read_artifact(name=" in found[0]["read_on"]
    return calls(("read_artifact", {"name": found[0]["name"], "offset": offset}))


@pytest.mark.parametrize("isolation", ["worker", "process"])
async def test_a_long_result_is_read_on_without_asking_anybody(isolation: str) -> None:
    turns = [calls(("much", {})), reading, reading, lambda request: told(request)[-1]]
    model = Model(turns, [{**PLAN, "tools": ["much"]}])
    tried = trial(model, tools={"much": much}, isolation=isolation, outside=lambda: list(asked))
    outcome = await (tried.check_all() if isolation == "worker" else tried.run())
    assert "The word is kingfisher." in outcome.report and outcome.outside == ["much"]
    [(name, content)] = outcome.artifacts.items()
    assert f"- `{name}` (text/plain, {len(content):,} bytes)" in outcome.report
    assert "with its planning: 5 calls of models" in outcome.report and "Cost: not known" in outcome.report
    offered = [each["function"]["name"] for each in model.asked[1]["tools"]]
    assert offered == ["plan_step", "read_artifact", "much"]


async def test_a_result_that_is_not_kept_is_shown_whole() -> None:
    def many() -> list[int]:
        """Answer 8,000 numbers, of less than 16,000 bytes."""
        return [7] * 7_999

    model = Model([calls(("many", {})), "Done."], [{**PLAN, "tools": ["many"]}])
    await lived(model, tools={"many": many})
    assert json.loads(told(model.asked[-1])[0]) == [7] * 7_999


def test_the_report_tells_what_was_kept_and_paid() -> None:
    plan, found = Plan(1, "h", "Know it.", [PlanStep("Look it up")]), Conversation(1, result="It is 7.")
    files = [Artifact(uuid4(), f"a`{n:03}.txt", "text/plain", 10, "", datetime.now(UTC)) for n in range(103)]
    spent = Spent(4, 12_000, 300, 1_000, 0.42, "EUR", 1, "0.42 EUR")
    told = report_of("Prices", plan, found, spent, files)
    assert "4 calls of models, 12,000 tokens in (1,000 of them from a cache), 300 tokens out." in told
    assert "Cost: 0.42 EUR, and 1 calls whose price is not known." in told
    assert "- `` a`099.txt `` (text/plain, 10 bytes)\n- and 3 more (30 bytes)" in told and "a`100" not in told
    assert "## Files\n\nNone.\n" in report_of("Prices", plan, found, Spent(), [])
    assert "None: the worker has no place for them." in report_of("Prices", plan, found, Spent(), None)
