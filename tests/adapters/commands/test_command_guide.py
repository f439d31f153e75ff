"""`docs/guides/command-agents.md`: its programs run as they stand, on a stack, and through a kill of the worker."""

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pavo.agents.confinement import landlock
from tests.adapters.stack import Own, stack
from tests.driving import types, until
from tests.guides import run_files
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "command-agents.md"
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.M | re.S)
NAMED = {name: body for name, body in BLOCK.findall(GUIDE.read_text())}
BIRDS = ["wren", "robin", "tit"]
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on this machine")


def settings(folder: Path) -> dict[str, str]:
    """What the guide has an operator set, with its programs in this folder."""
    found = re.findall(r"^export (\w+)='?(.*?)'?$", NAMED["settings.sh"], re.M)
    return {name: value.replace("/opt/agents", str(folder)) for name, value in found}


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("programs")
    for name in ("count.sh", "birds.mjs"):
        (folder / name).write_text(NAMED[name])
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": "sk-1", "PAVO_LLM_MODEL": "scripted"}
    confined = {"PAVO_AGENT_CONFINEMENT": "landlock" if landlock.version() else "off"}
    async with stack(parts, folder, **models, **confined, **settings(folder)) as own:
        yield own


async def report(own: Own, task: str) -> str:
    await own.tasks.wait(task, "DONE")
    return next(each for each in await own.tasks.documents(task) if each["kind"] == "REPORT")["body"]


async def test_a_shell_counts(own: Own) -> None:
    given = json.loads(NAMED["task.json"])
    task = await own.tasks.started(given["agent_options"], agent_type=given["agent_type"], auto_accept=True)
    assert await report(own, task) == "Counted to 5."
    counted = [event["number"] for event in await own.tasks.events(task) if event["type"] == "counted"]
    assert counted == [1, 2, 3, 4, 5]
    assert (await own.tasks.get(task))["steps"] == 6, "a step for each number, and one for the end"


async def test_a_program_that_nobody_named_is_refused(own: Own) -> None:
    task = await own.tasks.started({"program": "/bin/sh"}, agent_type="command", auto_accept=True)
    failed = await own.tasks.wait(task, "FAILED")
    assert "There is no program '/bin/sh'" in failed["error"]["cause"]
    assert "Known: count, birds" in failed["error"]["remedy"]


def running(program: str) -> list[int]:
    found: list[int] = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if program in each.read_text():
                found.append(int(each.parent.name))
        except OSError:
            continue
    return found


@needs_node
@pytest.mark.fault
async def test_a_killed_worker_pays_no_call_twice(own: Own, model_server: ModelServer) -> None:
    script = ModelScript(model_server, "")  # that of requests which name none
    script.tell({"text": "little", "hold": "robin eat"})
    options: dict[str, Any] = {"program": "birds", "options": {"birds": BIRDS}}
    task = await own.tasks.started(options, agent_type="command", auto_accept=True)

    def asked() -> Counter[str]:
        return Counter(request["messages"][-1]["content"] for request in script.told()["requests"])

    async def in_flight() -> bool:
        return "What does a robin eat?" in asked()

    await until(in_flight, what="the second question about the second bird")
    await own.recorded(task, 1)
    own.worker.kill()

    async def gone() -> bool:
        return not await asyncio.to_thread(running, "birds.mjs")

    await until(gone, seconds=10, what="the end of the program with its worker")
    own.worker = await own.parts.start("worker", **own.environment)

    async def recovered() -> bool:
        return "recovered" in types(await own.tasks.events(task))

    await until(recovered, what="the next attempt")
    script.release()
    assert await report(own, task) == "\n".join(f"A {bird} weighs little and eats little." for bird in BIRDS)
    others = asked()
    assert others.pop("What does a robin eat?") <= 2, "in flight: once more at most"
    weighed = {f"What does a {bird} weigh?": 1 for bird in BIRDS}
    assert others == {**weighed, "What does a wren eat?": 1, "What does a tit eat?": 1}, "a call was paid twice"
    assert (await own.tasks.get(task))["steps"] == 4
    answer = await own.tasks.client.get(f"/api/tasks/{task}/transcript")
    assert [each["data"]["bird"] for each in answer.json()["items"]] == BIRDS


def test_its_own_agent_keeps_the_contract(tmp_path: Path) -> None:
    (tmp_path / "count.sh").write_text(NAMED["count.sh"])
    run_files("command-agents", ["counting.py", "test_counting.py"], tmp_path)
