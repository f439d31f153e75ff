"""GET /api/agents is what the workers have: two versions in a rollout, broken ones, deaths, and nobody there."""

import os
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from pavo.cli.task.agents import agents_app
from tests.driving import until
from tests.parts import Part, Parts, free_port

_MODULE = """
from typing import ClassVar
from pavo.agents.intern import InternAgent


class Announced(InternAgent):
    name: ClassVar[str] = "announced"
    description = "Version {version}."
    options_schema = {{"type": "object", "properties": {{"only_{version}": {{"type": "integer"}}}}}}
"""


def install(folder: Path, version: str, module: str | None = None) -> Path:
    """A plug-in as pip leaves it; the folder is to be on the path."""
    info = folder / f"announced_agent-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / "announced_agent.py").write_text(_MODULE.format(version=version) if module is None else module)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: announced-agent\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[pavo.agents]\nannounced = announced_agent:Announced\n")
    (info / "RECORD").write_text("")
    return folder


async def start(parts: Parts, name: str, environment: dict[str, str]) -> Part:
    return await parts.start(name, **environment)  # pyright: ignore[reportArgumentType]


@dataclass
class Own:
    """A queue of its own, an API that has version 1 of the agent, and workers that have what they are given."""

    client: httpx2.AsyncClient
    parts: Parts
    environment: dict[str, str]

    async def worker(self, folder: Path | None) -> Part:
        path = os.pathsep.join([*([str(folder)] if folder else []), os.environ.get("PYTHONPATH", "")])
        return await start(self.parts, "worker", {**self.environment, "PYTHONPATH": path})

    async def agent(self, name: str = "announced") -> dict[str, Any]:
        response = await self.client.get("/api/agents")
        assert response.status_code == 200, response.text
        return next(agent for agent in response.json() if agent["name"] == name)

    async def until(self, **wanted: object) -> dict[str, Any]:
        async def there() -> bool:
            found = await self.agent()
            return {name: found[name] for name in wanted} == wanted

        await until(there, what=f"an agent with {wanted}")
        return await self.agent()


@pytest_asyncio.fixture
async def own(parts: Parts, tmp_path: Path) -> AsyncIterator[Own]:
    environment = {"TEMPORAL_TASK_QUEUE": f"announced-{uuid.uuid4().hex[:8]}", "PAVO_PORT": str(free_port())}
    begun = len(parts.running)
    await start(parts, "api", {**environment, "PYTHONPATH": str(install(tmp_path / "api", "1.0"))})
    url = f"http://127.0.0.1:{environment['PAVO_PORT']}"
    async with httpx2.AsyncClient(base_url=url, headers={"X-User-Email": "a@example.com"}, timeout=30) as client:
        yield Own(client, parts, environment)
    for part in parts.running[begun:]:
        part.end()


async def test_what_is_told_is_what_live_workers_have(own: Own, tmp_path: Path) -> None:
    alone = await own.agent()
    assert (alone["health"], alone["workers"], alone["version"]) == ("no_worker", 0, "announced-agent 1.0")
    assert alone["detail"].startswith("No worker is there")

    first = await own.worker(tmp_path / "api")
    ready = await own.until(health="ready", workers=1)
    assert ready["detail"] is None and ready["version"] == "announced-agent 1.0"
    assert list(ready["options_schema"]["properties"]) == ["only_1.0"]

    second = await own.worker(install(tmp_path / "second", "2.0"))
    both = await own.until(health="ready", workers=2)
    assert both["detail"] == "Workers have several versions: announced-agent 1.0, announced-agent 2.0."
    assert {(each["version"], each["workers"]) for each in both["at_workers"]} == {
        ("announced-agent 1.0", 1),
        ("announced-agent 2.0", 1),
    }
    schemas = {each["version"][-3:]: list(each["options_schema"]["properties"]) for each in both["at_workers"]}
    assert schemas == {"1.0": ["only_1.0"], "2.0": ["only_2.0"]}

    first.kill()  # without a word: its connection is gone, its key not yet
    left = await own.until(health="ready", workers=1)
    assert left["version"] == "announced-agent 2.0" and list(left["options_schema"]["properties"]) == ["only_2.0"]
    second.kill(signal.SIGTERM)
    await own.until(health="no_worker", workers=0)


async def test_broken_and_lacking_agents_are_told(own: Own, tmp_path: Path) -> None:
    broken = await own.worker(install(tmp_path / "broken", "3.0", "raise RuntimeError('no driver for its database')"))
    found = await own.until(health="broken")
    assert "no driver for its database" in found["detail"] and found["workers"] == 0
    assert found["at_workers"][0]["version"] == "announced-agent 3.0"
    assert "no driver" in found["at_workers"][0]["error"]
    assert (await own.agent("intern"))["health"] == "ready"

    await own.worker(tmp_path / "api")
    found = await own.until(health="partly", workers=1)
    assert found["detail"].startswith("1 of 2 workers can use it.") and "no driver" in found["detail"]

    await own.worker(None)
    broken.end()
    found = await own.until(health="partly", workers=1, detail="1 of 2 workers can use it.")
    assert len(found["at_workers"]) == 1


async def test_an_agent_that_the_api_lacks_is_told(own: Own, tmp_path: Path) -> None:
    plugin = install(tmp_path / "more", "1.0")
    (plugin / "announced_agent.py").write_text(_MODULE.format(version="1").replace("announced", "only_there"))
    (plugin / "announced_agent-1.0.dist-info" / "entry_points.txt").write_text(
        "[pavo.agents]\nonly_there = announced_agent:Announced\n"
    )
    await own.worker(plugin)

    async def there() -> bool:
        return any(agent["name"] == "only_there" for agent in (await own.client.get("/api/agents")).json())

    await until(there, what="the agent of the worker")
    found = await own.agent("only_there")
    assert found["health"] == "partly" and found["detail"].startswith("The API does not have it installed")
    assert (await own.agent())["health"] == "no_worker"
    assert (await own.agent())["detail"] == "No worker has it installed: its tasks wait until one does."


async def test_the_terminal_shows_the_same(own: Own, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--url", str(own.client.base_url)]
    agents_app(["list", *words], exit_on_error=False, result_action="return_value")
    told = capsys.readouterr().out
    assert "announced" in told and "no_worker" in told
    assert told.count("No worker is there: tasks wait until one is.") == 1
    agents_app(["show", "announced", *words], exit_on_error=False, result_action="return_value")
    told = capsys.readouterr().out
    assert "only_1.0" in told and "no_worker" in told
