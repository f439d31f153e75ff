"""What an agent says while a step is under way: seen at once, by those who come later too, and never twice."""

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.config import Settings
from pavo.tasks.work.context.deltas import WorkerDeltas
from pavo.timeline.publish import KEPT, Publisher, kept_key
from tests.driving import Tasks, types, until
from tests.parts import Parts
from tests.tasks.emitting_agents import install
from tests.tasks.own_stack import Own, on_path, own_stack

AGENTS = ["emitting", "emitting_apart"]
VIEWERS = 100
CPU_SHARE = 0.05
"""Of a core, that 100 viewers of 100 tokens a second may cost the API."""
SLACK = 2.0
"""The machine of a test does other things too."""


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    async with own_stack(parts, "emitting", {"PYTHONPATH": on_path(folder)}) as stack:
        yield stack


class Watching:
    """A viewer that does with deltas what the guide says."""

    def __init__(self, tasks: Tasks, task_id: str) -> None:
        self.texts: list[str] = []
        """What it showed, whenever it changed."""
        self.first: dict[str, Any] | None = None
        self.frames = 0
        self.taken_back: list[tuple[int, int]] = []
        self.events: list[dict[str, Any]] = []
        self.shown: tuple[int, int, str] | None = None
        self.task = asyncio.create_task(self._run(tasks, task_id))

    async def _run(self, tasks: Tasks, task_id: str) -> None:
        async with tasks.client.stream("GET", f"/api/tasks/{task_id}/stream?deltas=true", timeout=60) as answer:
            name, numbered = "", False
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("id: "):
                    numbered = True
                elif line.startswith("data: "):
                    assert numbered == (not name), "deltas have no id, events no name"
                    self._take(name, json.loads(line.removeprefix("data: ")))
                elif not line:
                    name, numbered = "", False

    def _take(self, name: str, data: dict[str, Any]) -> None:
        if name == "delta":
            self._show(data)
        elif name == "superseded":
            place = (data["attempt"], data["step"])
            self.taken_back.append(place)
            if self.shown is not None and self.shown[:2] <= place:
                self.shown = None
        else:
            self.events.append(data)
            if data["type"] == "tick" and self.shown is not None and self.shown[1] <= data["step"]:
                self.shown = None

    def _show(self, data: dict[str, Any]) -> None:
        self.frames += 1
        self.first = self.first or data
        for delta in data["deltas"]:
            if delta["type"] != "text":
                continue
            place, text = (data["attempt"], data["step"]), delta["data"]["text"]
            if delta["offset"]:
                assert self.shown is not None and self.shown[:2] == place
                assert len(self.shown[2]) == delta["offset"]
                text = self.shown[2] + text
            else:
                assert self.shown is None, "begun anew without being taken back"
            self.shown = (*place, text)
            self.texts.append(text)

    async def sees(self, words: int) -> str:
        async def enough() -> str:
            text = self.shown[2] if self.shown is not None else ""
            return text if text.count(" ") >= words else ""

        return await until(enough, what=f"{words} words to be seen")


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_worker_is_killed_in_the_middle_of_an_answer(own: Own, agent: str) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"words": 200}, agent_type=agent, auto_accept=True)
    early = Watching(tasks, task_id)
    await early.sees(30)
    late = Watching(tasks, task_id)
    said = await late.sees(40)
    assert late.first is not None and late.first["deltas"][0].get("offset") == 0
    assert late.texts[0].split(":")[2] == "0" and late.texts[0].count(" ") >= 20, "what was said so far, at once"
    own.worker.kill()
    own.worker = await own.parts.start("worker", **own.environment)
    await tasks.wait(task_id, "DONE")
    for viewer in (early, late):
        await asyncio.wait_for(viewer.task, 10)
        (answer,) = [event for event in viewer.events if event["type"] == "answer"]
        assert len(viewer.taken_back) >= 1 and viewer.taken_back[0][0] < int(answer["text"].split(":")[0])
        whole = [text for text in viewer.texts if text.split(":")[0] == answer["text"].split(":")[0]]
        assert whole and all(answer["text"].startswith(text) for text in whole)
        assert viewer.shown is None, "what is recorded is shown as an event alone"
    assert early.texts and said.split(":")[0] != answer["text"].split(":")[0]
    assert types(await tasks.events(task_id), "delta", "text") == [], "nothing of it is recorded"


async def test_whoever_does_not_ask_for_deltas_gets_events_alone(own: Own) -> None:
    task_id = await own.tasks.started({"words": 30}, agent_type="emitting", auto_accept=True)
    async with own.tasks.client.stream("GET", f"/api/tasks/{task_id}/stream") as answer:
        text = "".join([piece async for piece in answer.aiter_text()])
    assert "event:" not in text and '"answer"' in text


async def test_a_stop_takes_back_what_was_said(own: Own) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"words": 5_000}, agent_type="emitting", auto_accept=True)
    viewer = Watching(tasks, task_id)
    await viewer.sees(10)
    await tasks.post(f"{task_id}/stop")

    async def taken_back() -> bool:
        return bool(viewer.taken_back) and viewer.shown is None

    await until(taken_back, what="what was said to be taken back")
    viewer.task.cancel()


async def test_of_a_deleted_task_redis_keeps_nothing_that_was_said(own: Own, settings: Settings) -> None:
    """Its worker died in the middle, so nobody took it back."""
    tasks = own.tasks
    task_id = await tasks.started({"words": 5_000}, agent_type="emitting", auto_accept=True)
    viewer = Watching(tasks, task_id)
    await viewer.sees(10)
    own.worker.kill()
    async with Redis.from_url(settings.redis.url) as redis:
        assert await redis.hget(kept_key(task_id), KEPT)  # pyright: ignore
        await tasks.post(f"{task_id}/stop", 202)  # nobody is there to take it: it waits for the next one
        own.worker = await own.parts.start("worker", **own.environment)
        await tasks.wait(task_id, "STOPPED")
        deleted = await tasks.client.delete(f"/api/tasks/{task_id}")
        assert deleted.status_code == 204, deleted.text

        async def gone() -> bool:
            return not await redis.hget(kept_key(task_id), KEPT)  # pyright: ignore

        await until(gone, what="what was said to be gone")
    viewer.task.cancel()


class Noted:
    """A publisher that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []

    def say(self, _task: uuid.UUID, attempt: int, message: bytes, _kept: bytes = b"") -> None:
        self.told.append((attempt, json.loads(message).get("over", "said")))


async def test_an_attempt_that_ends_late_leaves_its_successor_alone() -> None:
    """Both in one worker: the first was taken for dead, and its end comes when the second is at work."""
    noted, task_id = Noted(), uuid.uuid4()
    worker = WorkerDeltas(cast(Publisher, noted))
    first, second = worker.begin(task_id, 1), worker.begin(task_id, 2)
    worker.end(task_id, 1)
    for deltas in (first, second):
        deltas.emit(1, "text", {"text": "x"})

    async def both() -> bool:
        return {(1, "said"), (2, "said")} <= set(noted.told)

    await until(both, what="both to be sent")
    worker.end(task_id, 2)
    assert noted.told[0] == noted.told[-1] == (2, "superseded"), "what the second said is taken back at its end"


# What it costs


def cpu_seconds(pid: int) -> float:
    """Of a process, user and system."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Reader(asyncio.Protocol):
    """Keeps what came, and when."""

    def __init__(self, hello: bytes) -> None:
        self._hello = hello
        self.got: list[tuple[float, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self.got.append((time.time(), data))

    def frames(self) -> list[tuple[float, bytes]]:
        return [(at, data) for at, data in self.got if b"event: delta" in data]


@asynccontextmanager
async def readers(own: Own, task_id: str) -> AsyncGenerator[list[Reader]]:
    """Many viewers, of which nothing is read but the clock."""
    port, loop = int(own.environment["PAVO_PORT"]), asyncio.get_running_loop()
    place = f"GET /api/tasks/{task_id}/stream?deltas=true HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    hello = f"{place}X-User-Email: {own.tasks.client.headers['x-user-email']}\r\n\r\n".encode()
    found = [await loop.create_connection(lambda: Reader(hello), "127.0.0.1", port) for _ in range(VIEWERS)]
    try:
        yield [reader for _, reader in found]
    finally:
        for transport, _ in found:
            transport.close()


def latencies(reader: Reader) -> list[float]:
    """Seconds from each token's emission until it was there; the first frame of a late comer is left out."""
    found: list[float] = []
    for at, data in reader.frames()[1:]:
        text = json.loads(data[data.index(b"data: ") + 6 :].split(b"\n\n")[0])["deltas"][0]["data"]["text"]
        found += [at - float(word.split(":")[3]) for word in text.split()]
    return found


async def test_a_hundred_viewers_of_a_hundred_tokens_a_second(own: Own) -> None:
    """`pytest -s tests/tasks/test_emitting.py -k hundred` prints what it measured."""
    tasks, seconds = own.tasks, 5.0
    task_id = await tasks.started({"words": 2_000, "pause": 0.0095}, agent_type="emitting", auto_accept=True)
    api = [part for part in own.parts.running if part.name == "api"][-1]
    async with readers(own, task_id) as found:

        async def all_see() -> bool:
            return all(len(reader.frames()) >= 2 for reader in found)

        await until(all_see, what="all viewers to see something")
        for reader in found:
            reader.got.clear()
        began, cpu = time.time(), cpu_seconds(api.pid)
        await asyncio.sleep(seconds)  # the measurement itself
        cpu, lasted = cpu_seconds(api.pid) - cpu, time.time() - began
        rates = [len(reader.frames()) / lasted for reader in found]
        waits = sorted(wait for reader in found for wait in latencies(reader))
    tokens = len(waits) / VIEWERS / lasted
    p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(
        f"\n{VIEWERS} viewers, {tokens:.0f} tokens/s: {max(rates):.1f} frames/s and viewer, shown after "
        f"{p50 * 1000:.0f} ms (p50), {p99 * 1000:.0f} ms (p99); the API took {cpu / lasted:.1%} of a core"
    )
    assert min(rates) >= 5 and max(rates) <= 10.2
    assert p99 <= 0.15 * SLACK
    assert cpu / lasted <= CPU_SHARE * SLACK
    await tasks.post(f"{task_id}/stop")
