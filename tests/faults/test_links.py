"""Each link between two parts misbehaves while tasks run: nothing is lost, and the API never says 500."""

import asyncio
import random
import time

import httpx2
import pytest

from tests.faults.drive import AGAIN, Driver, Viewer, seeded
from tests.faults.proxy import Mode
from tests.faults.stack import Stack, until
from tests.faults.test_kill import moved, progress

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
LINKS = [f"{kind}-{store}" for kind in ("api", "worker") for store in ("postgres", "redis", "temporal")]
MODES = [mode for mode in Mode if mode is not Mode.PASS]
MAX_ANSWER_SECONDS = 20.0
"""No request may hang longer, whatever a link does."""


async def disturb(
    stack: Stack, rng: random.Random, faults: list[tuple[str, Mode]], *, tasks: int, steps: int, held_seconds: float
) -> None:
    """One fault after the other while tasks run and commands are given, then judge."""
    harmed: dict[str, int] = {}
    slowest = 0.0
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(steps, 0.1) for _ in range(tasks)))
        watching = [Viewer(driver, task, rng) for task in ids]
        await asyncio.gather(*(driver.start(task) for task in ids))
        extra: list[str] = []
        try:
            for name, mode in faults:
                link = stack.links[name]
                await until(lambda: driver.get(ids[0]), 60, "the API answers")
                await link.switch(mode)
                until_time = time.monotonic() + held_seconds
                # An idle link cannot be harmed; it gets a while to be used.
                while time.monotonic() < until_time or (link.hits == 0 and time.monotonic() < until_time + 10):
                    slowest = max(slowest, await poke(driver, ids, extra))
                    if mode is Mode.CUT and link.hits == 0:
                        await link.switch(mode)  # nothing was open yet
                harmed[f"{name} {mode}"] = link.hits
                print(f"{name} {mode}: {link.hits}")
                await link.switch(Mode.PASS)
            assert slowest < MAX_ANSWER_SECONDS, f"a request took {slowest:.1f} s"
            await driver.verify(ids, steps, watching, seconds=150)
            print(f"faults {harmed}; {driver.statuses}, {driver.lost} lost, slowest {slowest:.1f} s")
            assert len(harmed) == len(set(faults))
            assert all(harmed.values()), harmed
        finally:
            await asyncio.gather(*(viewer.cancel() for viewer in watching))


async def poke(driver: Driver, ids: list[str], extra: list[str]) -> float:
    """Reads and commands in the middle of a fault; answers the seconds of the slowest."""
    started = time.monotonic()
    body = {"title": "More", "agent_type": "intern", "auto_accept": True, "agent_options": {"steps": 1}}
    requests = [
        driver.once("GET", f"/api/tasks/{ids[0]}"),
        driver.once("GET", "/api/tasks"),
        driver.once("POST", "/api/tasks", json=body),
        driver.once("POST", f"/api/tasks/{ids[0]}/start"),
        driver.once("GET", f"/api/tasks/{ids[0]}/events"),
        driver.once("GET", "/readyz"),
    ]
    if extra:
        requests.append(driver.once("POST", f"/api/tasks/{extra[-1]}/start"))
    answers = await asyncio.gather(*requests, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, httpx2.Response):
            if answer.status_code == 201:
                extra.append(answer.json()["id"])
        elif not isinstance(answer, AGAIN):
            raise answer
    await asyncio.sleep(0.2)  # between two pokes, so that a fault lasts and is not a flood
    return time.monotonic() - started


@pytest.mark.parametrize("name", LINKS)
async def test_link_misbehaves(stack: Stack, name: str) -> None:
    rng = seeded(f"link {name}")
    modes = rng.sample(MODES, len(MODES))
    await disturb(stack, rng, [(name, mode) for mode in modes], tasks=3, steps=80, held_seconds=0.8)


async def test_api_answers_503_while_postgres_is_away(stack: Stack) -> None:
    async with Driver(stack) as driver:
        task = await driver.create(1)
        for mode in (Mode.REFUSE, Mode.BLACK_HOLE):
            await stack.links["api-postgres"].switch(mode)
            answers = await asyncio.gather(*(driver.once("GET", f"/api/tasks/{task}") for _ in range(15)))
            assert {answer.status_code for answer in answers} == {503}, mode
            assert all("retry-after" in answer.headers for answer in answers)
            await stack.links["api-postgres"].switch(Mode.PASS)
            await driver.get(task)
        assert not driver.wrong, driver.wrong


async def test_a_dead_link_is_noticed(stack: Stack) -> None:
    """A worker whose answers from PostgreSQL never come goes on by itself once a new connection works."""
    async with Driver(stack) as driver:
        task = await driver.create(100, 0.05)
        await driver.start(task)
        before = await progress(stack)
        await until(lambda: moved(stack, before + 5), 30, "steps")
        await stack.links["worker-postgres"].switch(Mode.HALF_OPEN)
        await asyncio.sleep(2)  # silence is what is tested: the worker waits for answers that never come
        await stack.links["worker-postgres"].switch(Mode.CUT)
        await driver.verify([task], 100)
