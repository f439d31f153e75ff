"""Parts of a real stack that are stopped, full, or killed again and again: the supervisor does the right thing."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio

from pavo.deploy.local import liveness
from pavo.deploy.local.components import probes
from pavo.deploy.local.stack import EmbeddedStack
from pavo.deploy.model.state import PartState
from tests.driving import until

ROUNDS = int(os.environ.get("PAVO_TEST_KILL_ROUNDS", "2"))
"""Of killing Temporal's successor; each takes up to 15 s, for quick deaths are waited for ever longer."""
GREETED = ("postgres", "redis", "temporal", "api")

pytestmark = pytest.mark.fault


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    folder = tmp_path_factory.mktemp("silence")
    for above in (folder, folder.parent):
        above.chmod(0o711)  # PostgreSQL's own user walks through it
    async with EmbeddedStack(folder / "data", ephemeral=True, parts=GREETED) as running:
        yield running


def state_of(stack: EmbeddedStack, name: str) -> PartState:
    return next(part for part in stack.supervisor.states() if part.name == name)


async def successor(stack: EmbeddedStack, name: str, pid: int, seconds: float = 15) -> int:
    async def follows() -> bool:
        return state_of(stack, name).pid not in (None, pid)

    await until(follows, seconds=seconds)
    return stack.supervisor.pid(name)


@pytest.mark.parametrize("name", GREETED)
async def test_each_part_answers_its_greeting_with_something(stack: EmbeddedStack, name: str) -> None:
    component = stack.definition.component(name)
    assert component.greeting and isinstance(component.greeting, bytes)
    host, _, port = component.address.rpartition(":")
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(component.greeting)
        assert await reader.read(1)
        writer.close()


@pytest.mark.parametrize("name", ["redis", "api"])
async def test_a_stopped_part_is_noticed_and_answers_again(stack: EmbeddedStack, name: str) -> None:
    before = state_of(stack, name)
    begun = time.monotonic()
    pid = stack.kill(name, signal.SIGSTOP)
    await successor(stack, name, pid)
    noticed = time.monotonic() - begun
    await asyncio.wait_for(stack.supervisor.until_ready(name), 20)
    print(f"{name}: noticed after {noticed:.1f} s, answered again after {time.monotonic() - begun:.1f} s")
    assert noticed < 11  # 10 s, and what a busy machine takes for the end of a process
    component = stack.definition.component(name)
    assert await liveness.heard(component.address, component.greeting)
    after = state_of(stack, name)
    assert (after.restarts, after.last_end) == (before.restarts + 1, "was silent for 8 s and was killed")


async def test_a_server_that_takes_no_more_logins_is_not_silent(stack: EmbeddedStack) -> None:
    url = stack.environment["DATABASE_URL"]
    address, greeting = stack.definition.address("postgres"), stack.definition.component("postgres").greeting
    held: list[psycopg.Connection] = []
    try:
        with pytest.raises(psycopg.OperationalError, match=r"too many|remaining connection slots"):
            while True:
                held.append(await asyncio.to_thread(psycopg.connect, url))
        assert not await probes.postgres_answers(url)
        assert await liveness.heard(address, greeting)
    finally:
        for connection in held:
            connection.close()


@pytest.mark.timeout(120 + 20 * ROUNDS)
async def test_temporal_comes_back_whenever_its_successor_is_killed(stack: EmbeddedStack) -> None:
    """Each round ends well only once a third process answers; the moments go from 0.1 to 0.5 s."""
    slowest = 0.0
    for n in range(ROUNDS):
        begun = time.monotonic()
        second = await successor(stack, "temporal", stack.kill("temporal"))
        await asyncio.sleep(0.1 + 0.4 * n / max(ROUNDS - 1, 1))
        assert stack.kill("temporal") == second
        await successor(stack, "temporal", second)
        await asyncio.wait_for(stack.supervisor.until_ready("temporal"), 60)
        assert await probes.temporal_answers(stack.environment["TEMPORAL_ADDRESS"])
        slowest = max(slowest, time.monotonic() - begun)
    print(f"{ROUNDS} rounds, the slowest took {slowest:.1f} s")
