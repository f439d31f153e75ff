"""The example package is installed the way a user would, found by the registry, and runs in its own process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import LIMITS, FakeCorpus, context
from pavo.agents.contract import AgentContext, FeedbackItem, Plan, PlanDraft
from pavo.agents.hosts.open_host import open_host
from pavo.agents.hosts.process_host import ProcessHost
from pavo.agents.registry import AgentCard, AgentRegistry
from pavo.errors import AgentRefused

EXAMPLE = Path(__file__).parents[2] / "examples" / "pavo-agent-wordcount"
TEXT = "Churn grows. Why? The price drivers matter.\n\nPrice drivers, and service: price drivers again!\n\nEnd of Pavo."


def install(source: Path, target: Path) -> None:
    """With uv where it is at hand, else with pip; no network is needed for a package without dependencies to fetch."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    command = [uv, "pip", "install", "-q"] if uv else [sys.executable, "-m", "pip", "install", "-q"]
    subprocess.run([*command, "--no-deps", "--target", str(target), str(source)], check=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, base / "source")
    install(base / "source", base / "site")
    return base / "site"


@pytest.fixture
def card(site: Path, monkeypatch: pytest.MonkeyPatch) -> AgentCard:
    monkeypatch.syspath_prepend(str(site))
    return AgentRegistry.load().card("wordcount")


def task(registry_options: dict[str, object], prompt: str = TEXT) -> AgentContext:
    blank = context()
    return AgentContext(blank.task_id, blank.organisation_id, "Draft", prompt, registry_options, FakeCorpus())


def as_plan(version: int, draft: PlanDraft) -> Plan:
    return Plan(version, f"h{version}", draft.summary, draft.steps)


async def test_a_whole_life(card: AgentCard) -> None:
    assert (card.distribution, card.isolation) == ("pavo-agent-wordcount 1.0.0", "process")
    options = AgentRegistry.load().validate_options("wordcount", {"top": 2})
    host = open_host(card, task(options), LIMITS)
    assert isinstance(host, ProcessHost)
    try:
        plan = as_plan(1, await host.plan())
        revision = await host.revise(plan, [FeedbackItem("a", 'Leave out "matter"', 2), FeedbackItem("b", "Nice")])
        plan = as_plan(2, revision.plan)
        assert "leaves out" in revision.answers["a"] and "Not understood" in revision.answers["b"]
        await host.open(plan, None)
        steps = [step async for step in _all(host)]
        assert [step.progress for step in steps] == [1, 2, 3]
        report = await host.report(plan, steps[-1].checkpoint)
    finally:
        await host.close()
    assert "17 words in 5 sentences" in report
    assert "| price | 3 |" in report and "| price drivers | 3 |" in report and "matter" not in report


async def test_resuming_gives_the_same(card: AgentCard) -> None:
    options = AgentRegistry.load().validate_options("wordcount", {})
    host = open_host(card, task(options), LIMITS)
    plan = as_plan(1, await host.plan())
    await host.open(plan, None)
    whole = [step async for step in _all(host)]
    await host.close()
    again = open_host(card, task(options), LIMITS)
    await again.open(plan, whole[0].checkpoint)
    assert [step async for step in _all(again)] == whole[1:]
    await again.close()


async def test_an_empty_prompt_is_refused(card: AgentCard) -> None:
    host = open_host(card, task(AgentRegistry.load().validate_options("wordcount", {}), prompt=" "), LIMITS)
    with pytest.raises(AgentRefused, match="empty"):
        await host.plan()
    await host.close()


async def _all(host: ProcessHost):
    while (step := await host.next_step()) is not None:
        yield step
