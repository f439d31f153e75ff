"""The local engine is killed or stopped in the middle of a flow: each step is done once, and counts once."""

import asyncio
import signal
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from pavo.flows.definition.definition import Definition
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.runs import RunService
from pavo.kit.sql import Database
from tests.driving import until
from tests.flows.local.engine_apart import PATIENCE, STEPS, EngineApart, a_flow


async def test_each_step_is_done_once_however_often_the_engine_is_killed(
    database: Database,
    environment: dict[str, str],
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tmp_path: Path,
) -> None:
    service = RunService(database)
    run = await service.begin(organisation, define(a_flow()), {})
    killed = EngineApart(service, environment["DATABASE_URL"], organisation, run, tmp_path / "calls")
    async with asyncio.timeout(PATIENCE):
        for more in (1, 7, 9):
            await killed.kill_after(killed.start(), more)
            await killed.answer(uuid.uuid4())
        while not (history := await killed.history()).run.is_over:
            process = killed.start()
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
            await killed.answer(uuid.uuid4())
    assert history.run.state == "succeeded", history.run.error
    assert {key.step for key in history.results} == {f"s{number}" for number in range(STEPS)}
    assert all(each.output == {"step": key.step} for key, each in history.results.items())
    assert killed.asked > 0, "no unsafe step was in flight at any kill"
    calls = killed.calls()
    for number in range(STEPS):
        done = calls[f"s{number}"]
        assert done >= 1 if number % 3 == 0 else done == 1, (number, done)
    keys = {line.split()[1] for line in killed.file.read_text().splitlines()}
    assert keys == {ResultKey(f"s{number}").idempotency_key(run) for number in range(STEPS)}


async def stopped(engine: EngineApart, process: "subprocess.Popen[bytes]", database: Database) -> None:
    """Stop an engine with steps in flight, in no transaction, until its lease is over."""
    while process.poll() is None:
        await engine.done(3, process)
        process.send_signal(signal.SIGSTOP)
        flying = [each for each in (await engine.history()).results.values() if each.state == "running"]
        if any(not each.repeatable for each in flying) and await _is_free(engine, database):
            break
        process.send_signal(signal.SIGCONT)

    async def is_over_due() -> bool:
        query = text("SELECT lease_until <= pavo_now() FROM flow_runs WHERE id = :run")
        async with database.reading() as session:
            return bool((await session.scalars(query, {"run": engine.run})).one())

    await until(is_over_due)


async def _is_free(engine: EngineApart, database: Database) -> bool:
    query = text("SELECT id FROM flow_runs WHERE id = :run FOR UPDATE SKIP LOCKED")
    async with database.transaction() as session:
        return (await session.scalars(query, {"run": engine.run})).one_or_none() is not None


async def test_an_engine_that_stood_still_for_longer_than_its_lease_goes_on_where_nobody_has_claimed_the_run(
    database: Database,
    environment: dict[str, str],
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tmp_path: Path,
) -> None:
    service = RunService(database)
    run = await service.begin(organisation, define(a_flow()), {})
    engine = EngineApart(service, environment["DATABASE_URL"], organisation, run, tmp_path / "calls")
    process = engine.start()
    try:
        async with asyncio.timeout(PATIENCE):
            for _ in range(2):
                await stopped(engine, process, database)
                process.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    finally:
        process.kill()
        process.wait(10)
    history = await engine.history()
    assert (history.run.state, history.run.epoch) == ("succeeded", 1), history.run.error
    assert set(engine.calls().values()) == {1} and engine.calls().total() == STEPS
    assert {each.attempt for each in history.results.values()} == {1}


async def test_an_engine_that_stood_still_writes_nothing_where_another_one_has_the_run(
    database: Database,
    environment: dict[str, str],
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tmp_path: Path,
) -> None:
    service = RunService(database)
    run = await service.begin(organisation, define(a_flow()), {})
    engine = EngineApart(service, environment["DATABASE_URL"], organisation, run, tmp_path / "calls")
    first = engine.start()
    second = None
    try:
        async with asyncio.timeout(PATIENCE):
            await stopped(engine, first, database)
            second = engine.start()
            await until(lambda: _has_asked(engine))
            first.send_signal(signal.SIGCONT)
            while not (await engine.history()).run.is_over:
                await engine.answer(uuid.uuid4())
                await asyncio.sleep(0.05)
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.wait(10)
    history = await engine.history()
    assert history.run.state == "succeeded" and engine.asked > 0
    for number in range(STEPS):
        done = engine.calls()[f"s{number}"]
        assert done >= 1 if number % 3 == 0 else done == 1, (number, done)


async def _has_asked(engine: EngineApart) -> bool:
    return any(each.is_asked for each in (await engine.history()).results.values())
