"""Real coding programs that ask their models through Pavo, each in its own protocol: the job's usage, and no key here.

The model knows chat completions alone: codex's responses and Claude Code's messages are turned into them.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fleet.conftest import SEALING_KEY
from tests.fleet.test_job_models import forge, over
from tests.forges.small_forge import Forge
from tests.jobs.organisations import somebody
from tests.parts import Parts, free_port
from tests.remote.real.model_server import LINE, model_server
from tests.remote.real.test_real_programs import NAMES, search_path

__all__ = ["forge", "search_path"]
pytestmark = [pytest.mark.native, pytest.mark.timeout(300)]
KEY = "sk-of-the-provider-5d20"


@dataclass(frozen=True)
class Stack:
    """Of parts that ask the scripted model."""

    api: str
    gateway: str


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with model_server() as url:
        yield f"{url}/edit"


@pytest_asyncio.fixture(scope="module")
async def stack(parts: Parts, model: str) -> AsyncIterator[Stack]:
    api, gateway = free_port(), free_port()
    shared: dict[str, Any] = {"TEMPORAL_TASK_QUEUE": f"real-{uuid.uuid4().hex[:8]}", "PAVO_SEALING_KEY": SEALING_KEY}
    keys = {"PAVO_LLM_BASE_URL": model, "PAVO_LLM_API_KEY": KEY, "PAVO_LLM_MODEL": "scripted"}
    url = f"http://127.0.0.1:{api}"
    models = {"PAVO_GATEWAY_PORT": str(gateway), "PAVO_GATEWAY_MODELS_URL": f"{url}/llm/v1/"}
    started = [
        await parts.start("worker", **shared),
        await parts.start("api", **shared, **keys, PAVO_PORT=str(api)),
        await parts.start("gateway", command=True, **shared, **models),
    ]
    yield Stack(url, f"127.0.0.1:{gateway}")
    for each in started:
        each.end()


@pytest.mark.parametrize("name", NAMES)
async def test_its_models_are_asked_through_pavo(
    stack: Stack, forge: Forge, search_path: str, tmp_path: Path, name: str
) -> None:
    async with somebody(stack.api) as owner:
        secret = f"/api/organisations/{owner.organisation_id}/secrets/GIT"
        await owner.client.put(secret, json={"value": "token-that-writes"})
        await owner.post(
            "repositories", status=201, name="app", clone_url=forge.clone_url("acme/app"), credential="GIT"
        )
        token = (await owner.post("agent-tokens", status=201, name="test"))["secret"]
        words = ["--url", f"http://{stack.gateway}", "--name", "one", "--state", str(tmp_path / "state")]
        kept = {key: value for key, value in os.environ.items() if "KEY" not in key and "ANTHROPIC" not in key}
        with (tmp_path / "agent.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pavo.cli.main", "agent", "run", *words],
                env={**kept, "PATH": search_path, "PAVO_AGENT_TOKEN": token, "no_proxy": "*"},
                stdout=log,
                stderr=log,
            )
            try:
                options = {"gateway": True, "model": "scripted"}
                new = {"repository": "app", "prompt": "Add a line that says hello to the file agent.txt."}
                job = await owner.post("jobs", status=201, **new, program=name, options=options)
                done = await over(owner, job["id"])
                said = (await owner.client.get(f"/api/jobs/{job['id']}/logs")).text
            finally:
                process.kill()
                process.wait()
    assert done["stage"] == "DONE", said
    assert forge.file("acme/app", done["branch"], "agent.txt") == LINE
    assert done["usage"]["calls"] >= 2 and done["usage"]["tokens_in"] >= 20, done["usage"]
    left = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert left == [], "the provider's key is on the agent's machine"
