"""The functions that a model is given for tools: names that its API takes, as many as fit, the plan's first."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pavo.agents.llm_agent.functions import MAX_FUNCTIONS, NAME, TOOLS_BYTES, functions_of, spelled
from pavo.agents.llm_agent.turns import OWN
from tests.llm_agent.life import Life
from tests.llm_agent.model import calls, told


def tool(name: str, description: str = "What it does.") -> dict[str, Any]:
    return {"name": name, "description": description, "schema": {"type": "object"}, "effect": "read"}


def names_of(given: Any) -> list[str]:
    return [each["function"]["name"] for each in given]


@pytest.mark.parametrize("name", ["mail.draft", "a/b:c", "", "é", "x" * 65, "a b", "a\n", "plan_step!"])
def test_names_are_spelled_as_apis_take_them(name: str) -> None:
    assert NAME.fullmatch(spelled(name)) and spelled(name) == spelled(name) != name
    assert spelled("mail_draft") == "mail_draft"


def test_no_two_tools_have_one_name() -> None:
    tools = ["a.b", "a/b", spelled("a.b"), "plan_step", "a_b", "x" * 70, "x" * 71, spelled("x" * 70)]
    found = functions_of(OWN, [tool(name) for name in tools], ())
    given = names_of(found.given)
    assert len(set(given)) == len(given) == 1 + len(tools) and all(map(NAME.fullmatch, given))
    assert sorted(found.names.get(name, name) for name in given[1:]) == sorted(tools)
    assert "a_b" in given and spelled("a.b") not in found.names, "who can be called as it is, is"


def test_descriptions_are_shortened_before_tools_are_left_out_and_the_plan_s_come_first() -> None:
    many = [tool(f"t{number:02}", "d" * 1_000) for number in range(80)]
    found = functions_of(OWN, many, ("t79",))
    assert not found.left_out and names_of(found.given)[:2] == ["plan_step", "t79"]
    assert {len(each["function"]["description"]) for each in found.given[1:]} == {300}
    few = functions_of(OWN, many[:40], ())
    assert {len(each["function"]["description"]) for each in few.given[1:]} == {1_000}
    most = functions_of(OWN, [tool(f"t{number:03}", "d" * 1_000) for number in range(300)], ("t299",))
    assert len(most.given) == MAX_FUNCTIONS and names_of(most.given)[1] == "t299" and len(most.left_out) == 173
    assert len(json.dumps(most.given)) < TOOLS_BYTES + 2_000


def named(name: str, function: Callable[..., Any]) -> Mapping[str, Callable[..., Any]]:
    return {name: function}


async def test_a_tool_is_called_by_the_name_that_the_model_was_given() -> None:
    drafted: list[str] = []

    def draft(text: str) -> str:
        """Draft."""
        drafted.append(text)
        return "drafted"

    def answer(request: Mapping[str, Any]) -> Any:
        seen.append(request)
        names = names_of(request["tools"])
        if not told(request):
            return calls((names[-1], {"text": "a"}), ("mail.draft", {"text": "b"}), ("", {}), ("no such!", {}))
        return "Done." if len(told(request)) == 4 else None

    seen: list[Mapping[str, Any]] = []
    life = Life(answer, named("mail.draft", draft))
    assert await life.live() == "Done." and drafted == ["a", "b"] and not life.people.asked
    made = [call["function"]["name"] for each in seen[-1]["messages"] for call in each.get("tool_calls", [])]
    assert len(made) == 4 and all(map(NAME.fullmatch, made))
    assert names_of(seen[0]["tools"])[2:] == made[:1] == made[1:2], "whatever it said, it is shown the function"
    assert seen[0]["tools"][-1]["function"]["description"] == "mail.draft: Draft."
    [event] = [each for each in life.events if each.data.get("calls")]
    assert event.data["calls"][:2] == ["mail.draft", "mail.draft"]


async def test_the_model_is_told_what_it_is_not_given() -> None:
    def some() -> None:
        """Do something."""

    tools = {f"tool-{number:03}": some for number in range(150)}
    seen: list[Mapping[str, Any]] = []

    def answer(request: Mapping[str, Any]) -> Any:
        seen.append(request)
        return "Done."

    life = Life(answer, tools, summary="Do it.\n\nTools: `tool-149`, `tool-148`")
    await life.live()
    text = seen[0]["messages"][1]["content"]
    left_out = re.findall(r"`(tool-\d+)`", text.split("You cannot call these: ")[1])
    given = names_of(seen[0]["tools"])
    assert given[1:4] == ["read_artifact", "tool-148", "tool-149"] and len(given) == MAX_FUNCTIONS
    assert left_out and set(left_out) < set(tools) and not {*left_out} & {*given}
