"""An agent whose import takes long, or never ends, keeps nobody but those who need that very agent."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from tests.driving import until
from tests.parts import Parts, free_port
from tests.plug_ins import install_module

from pavo.agents import importing
from pavo.agents.announced.availability import IMPORTING
from pavo.agents.importing import Imports
from pavo.agents.registry import GROUP, AgentRegistry, declared
from pavo.errors import InvalidInput, Unavailable

SLOW = """
import pathlib, time
from pavo.agents.intern import InternAgent

while not pathlib.Path({flag!r}).exists():
    time.sleep(0.02)


class Slow(InternAgent):
    name = "slow"
    options_schema = {{"type": "object", "properties": {{"n": {{"type": "integer", "default": 7}}}}}}
"""


def plug_in(folder: Path) -> tuple[Path, Path]:
    """A folder for PYTHONPATH, and the file with whose coming the import ends."""
    flag, code = folder / "go", folder / "slow_to_import.py"
    folder.mkdir(exist_ok=True)
    code.write_text(SLOW.format(flag=str(flag)))
    install_module(folder / "plugins", code, {GROUP: {"slow": "Slow"}})
    return folder / "plugins", flag


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Imports, Path]:
    folder, flag = plug_in(tmp_path)
    monkeypatch.syspath_prepend(str(folder))
    return Imports(AgentRegistry(declared(GROUP))), flag


async def test_it_is_waited_for_only_so_long(imports: tuple[Imports, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    agents, flag = imports
    monkeypatch.setattr(importing, "IMPORT_SECONDS", 0.2)
    with pytest.raises(Unavailable, match="'slow' is still being imported"):
        await agents.known("slow")
    assert not await agents.is_quick("slow") and await agents.all_within(1.0) == ["slow"]
    await agents.known("intern")
    await agents.known("no such agent")
    with pytest.raises(InvalidInput, match="no agent"):
        agents.registry.card("no such agent")
    flag.touch()

    async def known() -> bool:
        return await agents.within("slow", 0.1)

    await until(known)
    assert agents.registry.card("slow").isolation and not await agents.all_within(1)


@pytest_asyncio.fixture
async def client(parts: Parts, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    folder, _ = plug_in(tmp_path)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    port = str(free_port())
    api = await parts.start("api", PAVO_PORT=port, PYTHONPATH=path)
    headers = {"X-User-Email": "ada@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=40) as client:
        yield client
    (tmp_path / "go").touch()  # so that the process can end
    api.end()


async def test_the_api_answers_while_it_imports(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    """One import of 25 s had kept `/healthz` silent for as long, beyond what a supervisor waits for."""
    new = {"title": "t", "prompt": "p", "agent_type": "slow"}
    creating = asyncio.create_task(client.post("/api/tasks", json=new))
    listing = asyncio.create_task(client.get("/api/agents"))
    slowest = 0.0
    while not listing.done():
        begun = time.monotonic()
        assert (await client.get("/healthz")).status_code == 200
        slowest = max(slowest, time.monotonic() - begun)
    agents = {agent["name"]: agent for agent in (await listing).json()}
    assert (agents["slow"]["health"], agents["slow"]["detail"]) == ("unknown", IMPORTING)
    assert agents["intern"]["version"]
    created = await client.post("/api/tasks", json={**new, "agent_type": "intern"})
    assert created.status_code == 201, "other agents are to be had"
    late = await creating
    assert late.status_code == 503 and late.json()["dependency"] == "agent" and late.headers["retry-after"] == "10"
    assert slowest < 5
    (tmp_path / "go").touch()

    async def made() -> httpx2.Response | None:
        answer = await client.post("/api/tasks", json=new)
        return answer if answer.status_code == 201 else None

    assert (await until(made)).json()["agent_options"] == {"n": 7}
