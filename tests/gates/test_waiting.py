"""When an agent has nothing to do but wait for people."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from pavo.agents.asking import waiting as waiting_module
from pavo.agents.asking.question import Question, Waits
from pavo.agents.asking.waiting import Waiting, follow_tasks

Ask = Callable[[str], Awaitable[Any]]
Body = Callable[[Ask, asyncio.Event], AsyncGenerator[None]]


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
    waiting = Waiting(told.set_result)

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


async def works_beside(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(ask("a"))
        group.create_task(work.wait())
    yield


async def works_itself(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(ask("a"))
    await work.wait()
    await task
    yield


async def works_unawaited(ask: Ask, work: asyncio.Event) -> AsyncGenerator[None]:
    beside = asyncio.ensure_future(work.wait())
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
