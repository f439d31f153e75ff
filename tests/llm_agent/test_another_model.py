"""A model that refuses the conversation of the agent `llm`: people name another one, and the task goes on with it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest_asyncio

from tests.llm.scripted import ModelServer, model_server
from tests.parts import Parts
from tests.tasks.own_stack import Own, own_stack

__all__ = ["model_server"]
PLAN = {"goal": "Say it.", "steps": [{"title": "Say it"}], "risks": [], "tools": []}
BEGUN = {"text": None, "tools": [{"name": "plan_step", "arguments": {"number": 1, "state": "begun"}}]}


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer) -> AsyncIterator[Own]:
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "small"}
    async with own_stack(parts, "another-model", models) as stack:
        yield stack


def tell(server: ModelServer, *answers: dict[str, Any]) -> None:
    body = {"answers": answers, "formed": [{"text": json.dumps(PLAN)}]}
    assert httpx2.put(f"http://127.0.0.1:{server.port}/scripts/", content=json.dumps(body)).status_code == 200


async def test_another_model_goes_on_where_the_first_refused(own: Own, model_server: ModelServer) -> None:
    fault = {"status": 400, "body": {"error": {"message": "I am too small for that."}}}
    tell(model_server, BEGUN, {"text": "Never.", "faults": [fault]})
    task_id = await own.tasks.started({}, agent_type="llm", auto_accept=True)
    failed = await own.tasks.wait(task_id, "FAILED")
    assert "I am too small for that." in str(failed["error"])
    tell(model_server, BEGUN, {"text": "Here it is."})
    for options in ({"model": "bigger"}, {"model": "biggest", "temperature": 0.5}):
        change = await own.tasks.client.patch(f"/api/tasks/{task_id}", json={"agent_options": options})
        assert change.status_code == 200, change.text
    await own.tasks.post(f"{task_id}/resume")
    await own.tasks.wait(task_id, "DONE")
    [report] = [each["body"] for each in await own.tasks.documents(task_id) if each["kind"] == "REPORT"]
    assert "Here it is." in report
    events = await own.tasks.events(task_id)
    assert [each["model"] for each in events if each["type"] == "asks_another"] == ["biggest"]


async def test_the_first_task_of_the_guide(own: Own, model_server: ModelServer, root: Path, tmp_path: Path) -> None:
    [shown] = re.findall(
        r'^```sh title="first"\n(.*?)^```$', (root / "docs" / "guides" / "llm.md").read_text(), re.M | re.S
    )
    tell(model_server, BEGUN, {"text": "They contradict each other."})
    shell = {**os.environ, "PAVO_URL": f"http://127.0.0.1:{own.environment['PAVO_PORT']}"}
    shell |= {"PAVO_USER": "another-model@example.com"}
    shell["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.Popen(
        ["bash", "-euc", shown], cwd=tmp_path, env=shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    said, _ = await asyncio.to_thread(run.communicate, timeout=60)
    assert "Say it" in said, said
