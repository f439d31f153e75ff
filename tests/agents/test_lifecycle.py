"""`setup` and `teardown` run once in each process, and harm nobody else whatever they do."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sample_agents import Sample

from conftest import LIMITS, PLAN, context, opened, until
from pavo.agents.contract import JSON, AgentContext, Isolation, Plan, Step
from pavo.agents.hosts.agent_host import HostLimits
from pavo.agents.hosts.lifecycle import tear_down
from pavo.agents.hosts.worker_host import WorkerHost
from pavo.errors import AgentDied, AgentError
from pavo.testing import AgentTrial, ContractBroken

NOTES = "PAVO_TEST_NOTES"


def note(what: str) -> None:
    with Path(os.environ[NOTES]).open("a") as notes:
        notes.write(f"{what}\n")


class Prepared(Sample):
    """Notes when it is set up and torn down."""

    name = "prepared"
    options_schema: ClassVar = {"type": "object"}
    pool: ClassVar[list[str] | None] = None

    @classmethod
    async def setup(cls) -> None:
        await asyncio.sleep(0.05)
        cls.pool = ["a connection"]
        note("setup")

    @classmethod
    async def teardown(cls) -> None:
        assert cls.pool is not None
        cls.pool = None
        note("teardown")

    async def execute(self, ctx: AgentContext, plan: Plan, checkpoint: JSON | None) -> AsyncIterator[Step]:
        yield Step(self.pool)


class FailsOnce(Sample):
    name = "fails_once"
    options_schema: ClassVar = {"type": "object"}

    @classmethod
    async def setup(cls) -> None:
        note("setup")
        if len(read()) < 2:
            raise SystemExit("not yet")

    @classmethod
    async def teardown(cls) -> None:
        raise KeyboardInterrupt("never mind")


class Hangs(Sample):
    name = "hangs"

    @classmethod
    async def setup(cls) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if len(read()) > 3:
                    raise
                note("cancelled")


class HangsAtItsEnd(Prepared):
    name = "hangs_at_its_end"

    @classmethod
    async def teardown(cls) -> None:
        await asyncio.sleep(3600)


class Blocks(Sample):
    name = "blocks"

    @classmethod
    async def setup(cls) -> None:
        time.sleep(3600)


class NoCoroutine(Sample):
    name = "no_coroutine"

    @classmethod
    def setup(cls) -> Any:
        return None


def read() -> list[str]:
    place = Path(os.environ[NOTES])
    return place.read_text().split() if place.exists() else []


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    monkeypatch.setenv("PAVO_AGENT_ENVIRONMENT", NOTES)  # for trials, which read the settings


KINDS = pytest.mark.parametrize("kind", ["worker", "process", "spawned"])


@KINDS
async def test_once_in_a_process(kind: str) -> None:
    async with opened(kind, Prepared) as host:
        await host.plan()
        await host.open(PLAN, None)
        step = await host.next_step()
        assert step is not None and step.checkpoint == ["a connection"]
        assert await host.next_step() is None
        await host.report(PLAN, None)
        assert read() == ["setup"]
    await tear_down(1)
    assert read() == ["setup", "teardown"]


async def test_once_in_a_worker_for_all_that_come_at_once() -> None:
    hosts = [WorkerHost(Prepared, context(), LIMITS) for _ in range(20)]
    cut = asyncio.create_task(hosts.pop().plan())
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.gather(*(host.plan() for host in hosts))
    assert read() == ["setup"]
    assert await tear_down(1) == [] and await tear_down(1) == []
    assert read() == ["setup", "teardown"]


@KINDS
async def test_a_setup_that_raises_is_the_failure_of_its_call(kind: str) -> None:
    async with opened(kind, FailsOnce) as host:
        with pytest.raises(AgentError, match="SystemExit: not yet"):
            await host.plan()
        await host.plan()
    if kind == "worker":
        [told] = await tear_down(1)
        assert "KeyboardInterrupt: never mind" in told


@KINDS
async def test_a_setup_that_hangs_is_given_up(kind: str) -> None:
    limits = HostLimits(memory_mb=256, setup_seconds=0.3, close_seconds=0.5)
    async with opened(kind, Hangs, limits) as host:
        with pytest.raises(AgentError, match=r"setup\(\) took longer than 0\.3 s"):
            await host.plan()
        await host.open(PLAN, None)
        with pytest.raises(AgentError, match=r"setup\(\) took longer than 0\.3 s"):
            await host.next_step()
    assert await tear_down(1) == []


@pytest.mark.parametrize("kind", ["process", "spawned"])
async def test_a_setup_that_blocks_its_process_is_ended(kind: str) -> None:
    async with opened(kind, Blocks) as host:
        with pytest.raises(AgentDied, match="did not yield for 1 s"):
            await host.plan()


@KINDS
async def test_a_teardown_that_hangs_keeps_nobody(kind: str) -> None:
    began = time.monotonic()
    async with opened(kind, HangsAtItsEnd) as host:
        await host.plan()
        began = time.monotonic()
    failed = await tear_down(0.3)
    assert time.monotonic() - began < 20
    if kind == "worker":
        assert failed == ["teardown() of HangsAtItsEnd took longer than 0.3 s"]


@KINDS
async def test_a_setup_that_is_no_coroutine_names_the_remedy(kind: str) -> None:
    async with opened(kind, NoCoroutine) as host:
        with pytest.raises(AgentError, match="Write it as `async def`"):
            await host.plan()


async def test_a_killed_process_is_not_torn_down() -> None:
    async with opened("process", Prepared) as host:
        await host.plan()
        await host.close(force=True)
    await until(lambda: read() == ["setup"])


@pytest.mark.parametrize("isolation", ["worker", "process"])
async def test_a_trial_sets_up_and_tears_down(isolation: Isolation) -> None:
    await AgentTrial(Prepared, isolation=isolation, options={"n": 1}).run()
    assert read() and read() == ["setup", "teardown"] * (len(read()) // 2)


async def test_a_trial_tells_of_a_teardown_that_fails() -> None:
    note("before")
    with pytest.raises(ContractBroken, match="never mind"):
        await AgentTrial(FailsOnce, isolation="worker", options={"n": 1}).run()
