"""Agents of frameworks through kills, in both isolations: no model asked twice, no tool run twice."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.adapters.replayed import pydantic_agents, sdk_agents, smol_agents
from tests.adapters.stack import Own, stack
from tests.driving import until
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts

WEIGH = {"name": "weigh", "arguments": {"what": "wren"}}
LISTEN = {"name": "listen", "arguments": {"where": "hedge"}}
FAILS = {"name": "fails", "arguments": {"why": "rain"}}
PUBLISH = {"id": "call-9", "name": "publish", "arguments": {"text": "A wren."}}


def final(answer: str) -> dict[str, Any]:
    """What smolagents takes for an answer."""
    return {"tools": [{"id": "call-10", "name": "final_answer", "arguments": {"answer": answer}}]}


@dataclass(frozen=True)
class Case:
    """What models say to an agent that weighs and, while a test says so, listens; what comes of it."""

    scripts: tuple[tuple[dict[str, Any], ...], ...]
    """By model."""
    questions: tuple[tuple[str, str], ...]
    """To people, in their order, with their answers."""
    told: Mapping[str, int]
    """What its tools have done, and how often: what was cut is done again where it may be."""
    heard: tuple[int, int, str]
    """What a model is told: script, request, text."""


CASES = {
    "birds": Case(
        scripts=(
            (
                {"tools": [WEIGH, LISTEN, {"name": "color", "arguments": {"of": "wren"}}, FAILS]},
                {"tools": [PUBLISH]},
                {"text": "A brown wren of 7 g."},
            ),
        ),
        questions=(("Which color has wren?", "brown"), ("publish", "yes")),
        told={"weigh-wren": 1, "listen-hedge": 2, "publish-A wren.": 1},
        heard=(0, 1, "ValueError: rain"),
    ),
    "sdk": Case(
        scripts=(
            (
                {"tools": [WEIGH, LISTEN]},
                {"tools": [{"id": "call-3", "name": "transfer_to_publisher", "arguments": {}}]},
                {"tools": [PUBLISH]},
                {"text": "A brown wren of 7 g."},
            ),
        ),
        questions=(("publish", "yes"),),
        told={"weigh-wren": 1, "listen-hedge": 2, "publish-A wren.": 1},
        heard=(0, 1, "7 g"),
    ),
    "finches": Case(
        scripts=(
            (
                {"tools": [WEIGH, {"name": "measure", "arguments": {"what": "wren"}}]},
                {"tools": [{"id": "call-4", "name": "listener", "arguments": {"task": "Listen."}}]},
                {"tools": [{"id": "call-9", "name": "user_input", "arguments": {"question": "Which color?"}}]},
                final("A brown wren of 7 g."),
            ),
            (
                {"tools": [{**FAILS, "id": "call-5"}, {**LISTEN, "id": "call-6"}]},
                {"text": 'Action: {"name": "listen", "arguments": {"where": "wood"}}'},  # an id is made up for it
                final("A wren."),
            ),
        ),
        questions=(("Which color?", "brown"),),
        told={"weigh-wren": 1, "measured-wren": 1, "listen-hedge": 2, "listen-wood": 1},
        heard=(1, 1, "ValueError: rain"),
    ),
}


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    for agents in (pydantic_agents, sdk_agents, smol_agents):
        agents.install(folder)
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": "sk-1", "PAVO_LLM_MODEL": "scripted"}
    async with stack(parts, folder, **models) as made:
        yield made


async def answered(own: Own, task: str, told: Path, case: Case) -> None:
    """Answer each question; at the first one the worker is killed while people are asked."""
    for at, (text, answer) in enumerate(case.questions):
        [gate] = await own.gates(task, 1)
        assert text in gate["text"]
        assert text not in told.read_text(), "it was done before people were asked"
        if at == 0:
            await own.kill()
        await own.answer(gate, answer)


@pytest.mark.fault
@pytest.mark.parametrize("isolation", ["", "_inside"])
@pytest.mark.parametrize("name", CASES)
async def test_nothing_is_asked_or_done_twice(
    own: Own, model_server: ModelServer, name: str, isolation: str, tmp_path: Path
) -> None:
    case, told = CASES[name], tmp_path / "told"
    scripts = [model_server.script(*answers) for answers in case.scripts]
    (tmp_path / "hold").touch()
    options = {"folder": str(tmp_path), "users": [script.name for script in scripts]}
    task = await own.tasks.started(options, agent_type=f"{name}{isolation}", auto_accept=True)

    async def is_in_the_middle() -> bool:
        done = [event["tool"] for event in await own.tasks.events(task) if event["type"] == "tool_done"]
        return "function/weigh" in done and "listen-hedge" in told.read_text()

    await until(is_in_the_middle, what="one tool that has ended, and one that is at work")
    await own.kill()
    (tmp_path / "hold").unlink()
    await answered(own, task, told, case)
    await own.tasks.wait(task, "DONE")
    report = next(each for each in await own.tasks.documents(task) if each["kind"] == "REPORT")["body"]
    assert report == "A brown wren of 7 g."
    assert Counter(told.read_text().splitlines()) == case.told
    requests = [script.told()["requests"] for script in scripts]
    assert [*map(len, requests)] == [*map(len, case.scripts)], "a model was asked again"
    script, request, text = case.heard
    assert text in str(requests[script][request]["messages"]), "a model was not told what a tool came to"
    rounds = [event["round"] for event in await own.tasks.events(task) if event["type"] == "round"]
    assert rounds == [*range(1, sum(map(len, case.scripts)) + 1)]
