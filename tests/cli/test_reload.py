"""`pavo up --reload`, with a real agent whose file is changed while its task runs; and what `status` says meanwhile."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.deploy.native.stack import Native
from tests.faults.drive import Driver
from tests.faults.stack import until

from pavo import __version__

pytestmark = [pytest.mark.fault, pytest.mark.timeout(200)]
CODE = """
import asyncio
from pavo.agents.contract import Agent, Event, PlanDraft, PlanStep, Revision, Step

SAYS = "one"


class Changing(Agent):
    name = "changing"
    description = "Says which version of its code it is."

    async def plan(self, ctx):
        return PlanDraft("Say it.", (PlanStep("Say"),))

    async def revise(self, ctx, plan, feedback):
        return Revision(PlanDraft("Say it.", (PlanStep("Say"),)), {})

    async def execute(self, ctx, plan, checkpoint):
        for number in range((checkpoint or 0), 40):
            await asyncio.sleep(0.1)
            yield Step(number + 1, [Event("said", {"says": SAYS, "number": number})])

    async def report(self, ctx, plan, checkpoint):
        return SAYS
"""


def plugin(folder: Path) -> Path:
    """The agent's file, in a distribution as pip would leave it."""
    info = folder / "changing_agent-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: changing-agent\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pavo.agents]\nchanging = changing_agent:Changing\n")
    (info / "RECORD").write_text("")
    code = folder / "changing_agent.py"
    code.write_text(CODE)
    return code


@pytest_asyncio.fixture(scope="module")
async def reloading() -> AsyncIterator[tuple[Native, Path]]:
    """A stack, and the file of its agent."""
    folder = Path(tempfile.mkdtemp(prefix="pavo-reload-"))
    folder.chmod(0o755)
    code = plugin(folder / "plugins")
    stack = Native(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(code.parent))
        await stack.command("up", "--port", "0", "--detach", "--reload")
        try:
            yield stack, code
        finally:
            await stack.command("down")
            await stack.command("reset", "--yes")
            shutil.rmtree(folder)


async def test_status_asks_the_parts_and_its_exit_code_tells_one_that_is_not_ready(
    reloading: tuple[Native, Path],
) -> None:
    stack, _ = reloading

    async def whole() -> bool:
        return all(part.state == "ready" for part in stack.state.parts)

    await until(whole, 30, "everything is ready")

    async def told() -> dict[str, str]:  # on a busy machine a part may need longer than it is given
        found = json.loads(await stack.command("deploy", "status", "-o", "json"))
        ui = {"temporal-ui": found["versions"]["temporal-ui"]}
        answers = {part["name"]: part["version"] for part in found["parts"]} | ui
        return answers if all(answers.values()) else {}

    versions = await until(told, 60, "each part says its version")
    assert versions["api"] == versions["worker-1"] == __version__
    assert versions["postgres"][0].isdigit() and versions["redis"].startswith("valkey ")
    assert versions["temporal"].startswith("1.") and versions["temporal-ui"][0].isdigit()
    state = stack.data_dir / "state.json"
    real = state.read_text()
    raw = json.loads(real)
    raw["parts"][0]["state"] = "restarting"
    raw["parts"][3]["version"] = "0.0.9"
    raw["of a later version"] = True
    raw["parts"][0]["of a later version"] = True
    draft = state.with_name("draft")
    draft.write_text(json.dumps(raw))
    os.replace(draft, state)
    try:
        for command in (("status",), ("deploy", "status")):
            done = await asyncio.to_thread(stack.pavo, *command, check=False)
            assert done.returncode == 5, done.stdout + done.stderr
        assert "api runs Pavo 0.0.9" in done.stdout and "restarting" in done.stdout
    finally:
        state.write_text(real)
    assert (await asyncio.to_thread(stack.pavo, "deploy", "status", check=False)).returncode == 0


async def test_a_running_task_goes_on_with_the_new_code_and_loses_nothing(reloading: tuple[Native, Path]) -> None:
    stack, code = reloading
    before = stack.part("worker-1")
    async with Driver(stack) as driver:
        task = await driver.create(0, agent="changing", options={})
        await driver.start(task)
        await driver.wait(task, lambda view: view["steps"] > 5, "steps")
        code.write_text(CODE.replace('SAYS = "one"', 'SAYS = "another"'))
        await driver.stage(task, "DONE")
        said = [event for event in await driver.events(task) if event["type"] == "said"]
        assert [each["number"] for each in said] == list(range(40))
        versions = [each["says"] for each in said]
        assert set(versions) == {"one", "another"} and versions == sorted(versions, reverse=True)
        kinds = [event["type"] for event in await driver.events(task)]
        assert "recovered" not in kinds and "error" not in kinds
    after = stack.part("worker-1")
    assert after.pid != before.pid and after.last_end == "ended with code 0"
    log = (stack.data_dir / "logs" / "supervisor.log").read_text()
    assert f"{code} changed: the workers are started again." in log


async def test_code_that_is_none_yet_ends_no_worker(reloading: tuple[Native, Path]) -> None:
    stack, code = reloading
    whole, log = code.read_text(), stack.data_dir / "logs" / "supervisor.log"

    async def ready() -> bool:
        return log.read_text().count("have the new code") == log.read_text().count("changed: the workers are")

    await until(ready, 30, "the worker is back")
    before = stack.part("worker-1").pid
    code.write_text(whole + "\n    def (")

    async def told() -> bool:
        return "the workers go on with the code before" in log.read_text()

    await until(told, 15, "it is told")
    assert stack.part("worker-1").pid == before
    code.write_text(whole)
