"""An old orchestrator through kills, in both isolations: it goes on after the last recorded item, none twice."""

import base64
import json
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.adapters.old_orchestrators import install
from tests.adapters.stack import Own, stack
from tests.adapters.test_signed_pickles import Evil
from tests.driving import types, until
from tests.parts import Parts

pytestmark = [pytest.mark.fault]
WORDS = [f"w{number}" for number in range(16)]


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    async with stack(parts, folder, PAVO_AGENT_CONFINEMENT="available") as made:
        yield made


def sections(events: list[dict[str, Any]]) -> list[str]:
    return [event["name"] for event in events if event["type"] == "section"]


async def started(own: Own, agent: str, folder: Path, seconds: float = 0.05) -> str:
    options = {"folder": str(folder), "seconds": seconds}
    return await own.tasks.started(options, agent_type=agent, auto_accept=True, prompt=" ".join(WORDS))


@pytest.mark.parametrize("agent", ["old_reports", "old_reports_inside"])
async def test_it_goes_on_after_the_last_recorded_item(own: Own, agent: str, tmp_path: Path) -> None:
    task = await started(own, agent, tmp_path)
    for at in (4, 10):
        await own.recorded(task, at)
        await own.kill()
    await own.tasks.wait(task, "DONE")
    events = await own.tasks.events(task)
    assert sections(events) == WORDS, "an item was recorded twice, or is lost"
    assert types(events).count("recovered") >= 2
    told = (tmp_path / "told").read_text().split()
    assert list(dict.fromkeys(told)) == WORDS and len(told) <= len(WORDS) + 2, (
        "more than what was in hand is done again"
    )
    report = next(each for each in await own.tasks.documents(task) if each["kind"] == "REPORT")["body"]
    assert report == "DONE: " + " ".join(word.title() for word in WORDS)


@pytest.mark.parametrize("agent", ["old_reports", "old_reports_inside"])
async def test_stopped_in_a_long_step_it_goes_on(own: Own, agent: str, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    task = await started(own, agent, tmp_path)

    async def writes() -> bool:
        return (tmp_path / "told").exists()

    await until(writes, what="the first section")
    await own.tasks.post(f"{task}/stop")
    await own.tasks.wait(task, "STOPPED")
    assert (await own.tasks.get(task))["steps"] == 2, "stop() let the step in hand end, and it was recorded"
    (tmp_path / "hold").unlink()
    await own.tasks.post(f"{task}/resume")
    await own.tasks.wait(task, "DONE")
    assert sections(await own.tasks.events(task)) == WORDS
    assert (tmp_path / "told").read_text().split() == WORDS, "something was done twice"


@pytest.mark.parametrize("agent", ["old_reports", "old_reports_inside"])
async def test_a_pickle_that_somebody_put_into_the_database_is_not_loaded(
    own: Own, agent: str, environment: dict[str, str], tmp_path: Path
) -> None:
    task = await started(own, agent, tmp_path, seconds=0.2)
    await own.recorded(task, 3)
    await own.tasks.post(f"{task}/stop")
    await own.tasks.wait(task, "STOPPED")
    evil = base64.b64encode(pickle.dumps(Evil(tmp_path / "loaded"))).decode()
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
        changed = connection.execute(
            "UPDATE executions SET checkpoint = jsonb_set(checkpoint::jsonb, '{pickle}', %s::jsonb) WHERE task_id = %s",
            (json.dumps(evil), task),
        )
        assert changed.rowcount == 1
    await own.tasks.post(f"{task}/resume")
    failed = await own.tasks.wait(task, "FAILED")
    assert "has not signed for this task and agent" in failed["error"]["cause"]
    assert "PAVO_SECRET_KEY" in failed["error"]["remedy"]
    assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize("agent", ["old_asks", "old_asks_inside"])
async def test_it_asks_people_without_a_process(own: Own, agent: str) -> None:
    task = await own.tasks.started({}, agent_type=agent, auto_accept=True, prompt="the car")

    [gate] = await own.gates(task, 1)
    assert gate["text"] == "Which color for the car?"
    await own.kill()
    await own.answer(gate, "red")
    await own.tasks.wait(task, "DONE")
    said = [event["text"] for event in await own.tasks.events(task) if event["type"] == "output"]
    assert said == ["before", "it is red"]
