"""When an agent has nothing to do but wait for people."""

import asyncio
import contextvars
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from pavo.agents.asking import waiting as waiting_module
from pavo.agents.asking.question import Question, Waits
from pavo.agents.asking.waiting import Waiting, follow_tasks

Ask = Callable[[str], Awaitable[Any]]
Body = Callable[[Ask, asyncio.Event], AsyncGenerator[None]]
OTHERS: list[Waiting] = []
SAID: list[str] = []
"""What agents were told that keeps their questions back."""


async def gathered(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    await asyncio.gather(ask("a"), ask("b"))
    yield


async def grouped(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(ask("a"))
        group.create_task(ask("b"))
    yield


async def waited(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    await asyncio.wait([asyncio.ensure_future(ask("a")), asyncio.ensure_future(ask("b"))])
    yield


async def nested(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask("a"))
            await asyncio.gather(ask("b"), return_exceptions=True)

    await asyncio.ensure_future(both())
    yield


async def delegated(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    """By a generator of its own, which the interpreter tells nobody of."""
    task = asyncio.ensure_future(ask("a"))
    await asyncio.gather(task, ask("b"))
    yield


async def drive(body: Body, work: asyncio.Event) -> tuple[asyncio.Task[None], "asyncio.Future[Waits]", Waiting]:
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        follow_tasks(loop)
    told: asyncio.Future[Waits] = loop.create_future()
    waiting = Waiting(told.set_result, SAID.append, __name__)
    SAID.clear()
    for left in list(OTHERS):
        left.end()
    OTHERS.append(waiting)

    async def root() -> None:
        waiting.begin()
        generator = body(lambda key: waiting.wait(Question(key, "?")), work)
        waiting.drives(generator)
        await anext(generator)

    return asyncio.ensure_future(root()), told, waiting


async def test_in_the_order_of_asking() -> None:
    """However long looking each of them up took: the first time it was asked counts."""
    told: asyncio.Future[Waits] = asyncio.get_running_loop().create_future()
    waiting = Waiting(told.set_result)
    order = ["where", "why", "when"]

    async def root() -> None:
        waiting.begin()
        for key in [*order, "where"]:
            waiting.asked(Question(key, "?"))
        await asyncio.gather(*(waiting.wait(Question(key, "?")) for key in reversed(order)))

    agent = asyncio.ensure_future(root())
    waits = await asyncio.wait_for(told, 5)
    assert [question.key for question in waits.questions] == order
    waiting.end()
    agent.cancel()


@pytest.mark.parametrize("body", [gathered, grouped, waited, nested, delegated])
async def test_all_wait(body: Body) -> None:
    root, told, waiting = await drive(body, asyncio.Event())
    waits = await asyncio.wait_for(told, 5)
    assert sorted(question.key for question in waits.questions) == ["a", "b"]
    waiting.end()
    root.cancel()


async def limited(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    places = asyncio.Semaphore(1)

    async def one(key: str) -> None:
        async with places:
            await ask(key)

    await asyncio.gather(one("a"), one("b"))
    yield


async def locked(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    lock = asyncio.Lock()

    async def holds() -> None:
        async with lock:
            await ask("a")

    holding = asyncio.ensure_future(holds())
    await asyncio.sleep(0)
    async with lock:
        await holding
    yield


async def queued(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    questions, answers = asyncio.Queue[str](), asyncio.Queue[Any]()

    async def asker() -> None:
        while True:
            await answers.put(await ask(await questions.get()))

    async with asyncio.TaskGroup() as group:
        group.create_task(asker())
        await questions.put("a")
        await answers.get()
    yield


async def told_of(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    told = asyncio.Event()

    async def tells() -> None:
        await ask("a")
        told.set()

    telling = asyncio.ensure_future(tells())
    await told.wait()
    await telling
    yield


async def set_by_another(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    found = asyncio.get_running_loop().create_future()

    async def finds() -> None:
        found.set_result(await ask("a"))

    finding = asyncio.ensure_future(finds())
    await found
    await finding
    yield


async def shielded(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    await asyncio.shield(asyncio.ensure_future(ask("a")))
    yield


async def as_they_come(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    for each in asyncio.as_completed([ask("a"), ask("b")]):
        await each
    yield


async def with_a_limit(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    await asyncio.wait_for(ask("a"), 3600)
    yield


async def waited_with_a_limit(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    await asyncio.wait([asyncio.ensure_future(ask("a"))], timeout=3600)
    yield


async def in_a_group_of_anyio(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(ask, "a")
        group.start_soon(ask, "b")
    yield


async def streamed_by_anyio(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    send, receive = anyio.create_memory_object_stream[Any](1)

    async def asks() -> None:
        async with send:
            await send.send(await ask("a"))

    async with receive, anyio.create_task_group() as group:
        group.start_soon(asks)
        async for _ in receive:
            pass
    yield


async def in_a_generator_of_its_own(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    async def answers() -> AsyncGenerator[Any]:
        places = asyncio.Semaphore(0)

        async def releases() -> None:
            await ask("a")
            places.release()

        releasing = asyncio.ensure_future(releases())
        async with places:
            yield await releasing

    async for _ in answers():
        yield


EACH_OTHER = [limited, locked, queued, told_of, set_by_another, shielded, as_they_come, with_a_limit]
EACH_OTHER += [waited_with_a_limit, in_a_group_of_anyio, streamed_by_anyio, in_a_generator_of_its_own]


@pytest.mark.parametrize("body", EACH_OTHER)
async def test_coroutines_that_wait_for_each_other_hold_nothing_up(monkeypatch: pytest.MonkeyPatch, body: Body) -> None:
    if body is set_by_another:  # which something outside might set too
        monkeypatch.setattr(waiting_module, "BESIDE_SECONDS", 0.5)
    root, told, waiting = await drive(body, asyncio.Event())
    waits = await asyncio.wait_for(told, 10)
    assert "a" in {question.key for question in waits.questions}
    waiting.end()
    root.cancel()


async def on_a_thread(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    loop, lasts = asyncio.get_running_loop(), threading.Event()
    asking = asyncio.ensure_future(ask("a"))
    watched = asyncio.ensure_future(work.wait())
    watched.add_done_callback(lambda _: lasts.set())
    await asyncio.shield(loop.run_in_executor(None, lasts.wait, 20))
    await asking
    yield


async def from_a_connection(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)

    async def reads() -> None:
        assert await reader.read(1) == b"x"

    async def answers() -> None:
        while not work.is_set():
            await asyncio.sleep(0.01)
        theirs.send(b"x")

    asyncio.get_running_loop().create_task(answers(), context=contextvars.Context())  # somebody else's
    try:
        await asyncio.gather(ask("a"), reads())
    finally:
        writer.close()
        theirs.close()
    yield


async def set_by_a_library(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    """By what is not of this module."""
    scope: dict[str, Any] = {}
    exec("async def request(event):\n    await event.wait()", scope)
    came = asyncio.Event()

    async def answers() -> None:
        while not work.is_set():
            await asyncio.sleep(0.01)
        came.set()

    asyncio.get_running_loop().create_task(answers(), context=contextvars.Context())
    await asyncio.gather(ask("a"), scope["request"](came))
    yield


@pytest.mark.parametrize("body", [on_a_thread, from_a_connection, set_by_a_library])
async def test_what_comes_from_outside_is_waited_for_and_said(monkeypatch: pytest.MonkeyPatch, body: Body) -> None:
    monkeypatch.setattr(waiting_module, "STILL_SECONDS", 0.1)
    monkeypatch.setattr(waiting_module, "BESIDE_SECONDS", 0.3)
    work = asyncio.Event()
    root, told, waiting = await drive(body, work)
    await until_said()
    assert body.__name__ in SAID[0] and "waits for a," in SAID[0], "it does not say where it is"
    assert not told.done(), "something of it was cut"
    work.set()
    assert [question.key for question in (await asyncio.wait_for(told, 10)).questions] == ["a"]
    assert len(SAID) == 1
    waiting.end()
    root.cancel()


async def until_said() -> None:
    async with asyncio.timeout(10):
        while not SAID:
            await asyncio.sleep(0.01)


async def comes(work: asyncio.Event) -> None:
    """Of itself, as what a timer or a connection brings."""
    while not work.is_set():
        await asyncio.sleep(0.01)


async def works_beside(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(ask("a"))
        group.create_task(comes(work))
    yield


async def works_itself(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(ask("a"))
    await comes(work)
    await task
    yield


async def works_unawaited(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    beside = asyncio.ensure_future(comes(work))
    await ask("a")
    await beside
    yield


@pytest.mark.parametrize("body", [works_beside, works_itself, works_unawaited])
async def test_work_in_hand_is_finished_first(body: Body) -> None:
    work = asyncio.Event()
    root, told, waiting = await drive(body, work)
    done, _ = await asyncio.wait({told}, timeout=6 * waiting_module.LOOK_SECONDS)
    assert not done, "something else runs"
    work.set()
    assert [question.key for question in (await asyncio.wait_for(told, 5)).questions] == ["a"]
    waiting.end()
    root.cancel()


async def test_what_was_asked_of_pavo_is_settled_first() -> None:
    root, told, waiting = await drive(gathered, asyncio.Event())
    waiting.unsettled(1)
    done, _ = await asyncio.wait({told}, timeout=6 * waiting_module.LOOK_SECONDS)
    assert not done
    waiting.unsettled(-1)
    await asyncio.wait_for(told, 5)
    root.cancel()


async def test_a_reader_that_never_ends_does_not_hold_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "BESIDE_SECONDS", 0.3)
    root, told, waiting = await drive(works_unawaited, asyncio.Event())
    await asyncio.wait_for(told, 5)
    waiting.end()
    root.cancel()
