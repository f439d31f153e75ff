"""What keeps the agent `llm` from going on without end, and from taking as a result what is none."""

from collections.abc import Mapping
from typing import Any

import pytest

from pavo.errors import AgentRefused
from tests.llm_agent.life import Life
from tests.llm_agent.model import Model, calls, step, told

looked: list[str] = []


def look(at: str) -> str:
    """Look."""
    looked.append(at)
    return f"It is {at}."


@pytest.fixture(autouse=True)
def nothing_was_looked_at() -> None:
    looked.clear()


def ended(text: str | None, reason: str, **more: Any) -> dict[str, Any]:
    """An answer with why it ends."""
    message = {"role": "assistant", "content": text, **more}
    return {"choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": None}


ONE, TWO = calls(("look", {"at": "bolt"})), calls(*[("look", {"at": "bolt"})] * 2)


async def test_the_same_call_is_asked_about_also_where_its_count_steps_over_the_number() -> None:
    life = Life(Model([ONE, TWO, TWO, TWO, "Done."]), {"look": look}, same_calls=4)
    assert await life.live() == "Done." and len(looked) == 7
    # 1, 3, then the second of two is the fifth; the word holds for what was wanted then.
    assert len(life.people.asked) == 1
    [text] = life.people.asked.values()
    assert text.startswith("The model has called look 3 times with these arguments, and wants 2 more at once. Again?")
    more = Life(Model([*[ONE] * 9, "Done."]), {"look": look}, same_calls=4)
    await more.live()
    assert len(more.people.asked) == 2, "the fifth time, and the ninth"


async def test_calls_of_one_answer_count_one_after_the_other() -> None:
    many = calls(*[("look", {"at": "bolt"})] * 49)
    life = Life(Model([many, lambda request: " ".join(told(request))]), {"look": look}, answer=lambda _: "do not")
    result = await life.live()
    assert len(looked) == 5 and result.count("often enough") == 44
    [text] = life.people.asked.values()
    assert text.startswith("The model wants to call look 49 times at once with these arguments. Again?")


@pytest.mark.parametrize("word", [step(1), step(99), step(1, "thinking"), ("plan_step", {})])
async def test_words_that_tell_nothing_new_are_no_progress(word: Any) -> None:
    life = Life(Model([*[calls(word)] * 30, "Done."]), {"look": look}, still_turns=10)
    assert await life.live() == "Done."
    assert len(life.people.asked) in (2, 3)
    changing = [calls(step(1, ("begun", "done")[number % 2])) for number in range(40)]
    there_and_back = Life(Model([*changing, "Done."]), {"look": look}, still_turns=10)
    await there_and_back.live()
    assert len(there_and_back.people.asked) == 3, "each state is news once"


async def test_who_resumes_after_a_stop_is_asked_anew() -> None:
    words = iter(("stop", "stop", "go on", "go on"))
    life = Life(
        Model([*[calls(("look", {"at": str(n)})) for n in range(4)], "Done."]),
        {"look": look},
        still_turns=2,
        answer=lambda _: next(words),
    )
    for _ in range(2):
        with pytest.raises(AgentRefused, match="no progress"):
            await life.live()
    assert await life.live() == "Done." and looked == ["0", "1", "2", "3"]
    assert len(life.people.asked) == 4


@pytest.mark.parametrize("empty", [ended("", "stop"), ended(None, "stop"), ended(" \n", "length")])
async def test_an_empty_answer_is_no_result(empty: Any) -> None:
    life = Life(Model([ONE, empty, empty, "Here."]), {"look": look})
    assert await life.live() == "Here."
    never = Life(Model([ONE, empty]), {"look": look})
    with pytest.raises(AgentRefused, match="The model's answer was empty, 4 times in a row") as failed:
        await never.live()
    assert "the option model" in str(failed.value.remedy)
    with pytest.raises(AgentRefused, match="4 times in a row"):  # it is asked again, as often
        await never.live()
    assert len(told(never_asked(never))) == 1


def never_asked(life: Life) -> Mapping[str, Any]:
    """What was said in all."""
    return {"messages": [each.data for each in life.transcript.messages if "role" in each.data]}


async def test_an_answer_that_was_cut_goes_on_where_it_ended() -> None:
    model = Model([ended("A bolt ", "length"), ended("is 7", "length"), ".", "Never."])
    assert await Life(model, {"look": look}).live() == "A bolt is 7."
    called = Model([ended("A bolt ", "length"), ONE, "A nut."])
    assert await Life(called, {"look": look}).live() == "A nut.", "what was cut was not its last word"
    with pytest.raises(AgentRefused, match="cut at its greatest length, 11 times in a row"):
        await Life(Model([ended("and", "length")]), {"look": look}).live()


@pytest.mark.parametrize(
    "refusal", [ended("I", "content_filter"), ended(None, "stop", refusal="I must not."), ended("", "content_filter")]
)
async def test_a_refusal_is_a_failure_and_who_resumes_asks_again(refusal: Any) -> None:
    life = Life(Model([refusal, "Here."]), {"look": look})
    with pytest.raises(AgentRefused, match="The model refuses to go on"):
        await life.live()
    assert await life.live() == "Here."


async def test_what_is_said_while_the_last_answer_is_made_is_passed_on() -> None:
    def answer(request: Mapping[str, Any]) -> Any:
        if not life.people.said:
            life.people.say("Name nuts too.")
            return "Bolts."
        return "Bolts and nuts." if "Name nuts too." in str(request["messages"][-1]) else "Bolts again."

    life = Life(answer, {"look": look})
    assert await life.live() == "Bolts and nuts."
    assert [event.type for event in life.events] == ["model_answered", "messages_passed_on", "model_answered"]
