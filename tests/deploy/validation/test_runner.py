"""A validation on real servers, whole and broken on purpose."""

import asyncio
import uuid
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from pavo.config import Settings, TemporalSettings
from pavo.deploy.checks.connectivity import reach_postgres, reach_redis, reach_temporal
from pavo.deploy.validation import contracts as c
from pavo.deploy.validation import readback, runner
from pavo.deploy.validation.activities import Prover
from pavo.deploy.validation.runner import Validated, Validator
from pavo.kit.sql import Database
from tests.parts import free_port

SECONDS = 5.0
CLOSED = "postgresql://pavo:secret@127.0.0.1:{port}/pavo"


class NoRetry(Prover):
    """An installation in which every attempt fails."""

    @activity.defn(name="validation_retry")
    async def fail_first(self) -> int:
        raise ApplicationError("Every attempt fails.")


class Forgetful(Prover):
    """A database that commits nothing."""

    @activity.defn(name="validation_database")
    async def write_and_read(self, scratch_id: str) -> int:
        return 0


class Slow(Prover):
    """A database whose answer takes a minute."""

    @activity.defn(name="validation_database")
    async def write_and_read(self, scratch_id: str) -> int:
        await asyncio.sleep(60)
        return 2


@workflow.defn(name=c.WORKFLOW_TYPE, sandboxed=False)
class Gullible:
    """A validation that takes every update."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal(name="nudge")
    def nudge(self) -> None:
        pass

    @workflow.query(name="progress")
    def progress(self) -> c.Progress:
        return c.Progress((), False)

    @workflow.update(name="double")
    def double(self, number: int) -> int:
        return 2 * number


async def validated(temporal: Client, prover: c.ValidationActivities) -> Validated:
    async with Validator(temporal, prover) as validator:
        return await validator.once()


def failed(found: Validated) -> dict[str, str]:
    assert all(finding.remedy for finding in found.findings if finding.status == "fail")
    return {finding.name: finding.detail for finding in found.findings if finding.status == "fail"}


async def rows(database: Database) -> int:
    async with database.autocommit() as connection:
        query = "SELECT count(*) FROM events WHERE type = 'validation'"
        return (await connection.exec_driver_sql(query)).scalar_one()


async def test_everything_is_proved_each_with_its_time_and_nothing_is_left(
    temporal: Client, database: Database
) -> None:
    async with Validator(temporal, Prover(database)) as validator:
        await validator.once()  # the first one also loads the sandbox
        found = await validator.once()
    assert failed(found) == {}
    assert [finding.name for finding in found.findings] == list(c.CHECKS)
    assert all(finding.status == "pass" and finding.seconds is not None for finding in found.findings)
    timer = next(finding for finding in found.findings if finding.name == c.TIMER)
    assert (timer.seconds or 0) >= c.TIMER_SECONDS.total_seconds()
    assert found.seconds < SECONDS
    assert await rows(database) == 0


async def test_repeats_pass(temporal: Client, database: Database) -> None:
    async with Validator(temporal, Prover(database)) as validator:
        every = [await validator.once() for _ in range(10)]
    assert all(one.ok for one in every), [failed(one) for one in every]
    assert len({one.workflow_id for one in every}) == 10


async def test_a_closed_database_fails_its_line_only(temporal: Client) -> None:
    url = CLOSED.format(port=free_port())
    database = Database(url, pool_size=2)
    found = await validated(temporal, Prover(database))
    await database.close()
    assert list(failed(found)) == [c.DATABASE]
    assert "refused" in failed(found)[c.DATABASE]
    reached = (await reach_postgres(url)).finding
    assert reached.status == "fail" and "DATABASE_URL" in (reached.remedy or "") and "secret" not in reached.detail


async def test_a_database_without_pavos_schema_fails_with_that_cause(temporal: Client, settings: Settings) -> None:
    database = Database(settings.database.url.rpartition("/")[0] + "/postgres", pool_size=2)
    found = await validated(temporal, Prover(database))
    await database.close()
    assert "timelines" in failed(found)[c.DATABASE] and "does not exist" in failed(found)[c.DATABASE]


async def test_what_does_not_retry_and_what_forgets_is_named(temporal: Client, database: Database) -> None:
    assert failed(await validated(temporal, NoRetry(database))) == {c.RETRY: "Every attempt fails."}
    assert failed(await validated(temporal, Forgetful(database))) == {c.DATABASE: "0 of 2 committed events were read"}


async def test_an_update_that_should_be_refused_and_is_not_is_named(temporal: Client) -> None:
    name = f"gullible-{uuid.uuid4()}"
    async with Worker(temporal, task_queue=name, workflows=[Gullible]):
        handle: WorkflowHandle[Any, Any] = await temporal.start_workflow(Gullible.run, id=name, task_queue=name)
        found = await runner.speak(handle)
        await handle.terminate()
    assert {finding.name: finding.status for finding in found.values()} == {
        c.SIGNAL: "pass",
        c.QUERY: "pass",
        c.UPDATE: "fail",
    }
    assert found[c.UPDATE].detail == "A negative number was not refused; it answered -2."


async def test_where_it_hangs_is_told_from_what_was_not_reached(
    temporal: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "DEADLINE_SECONDS", 2.0)
    found = await validated(temporal, Slow(database))
    assert {finding.name: finding.status for finding in found.findings} == {
        **dict.fromkeys((c.ACTIVITY, c.TIMER, c.CHILD, c.SIGNAL, c.QUERY, c.UPDATE), "pass"),
        c.DATABASE: "fail",
        **dict.fromkeys((c.RETRY, c.CONTINUE_AS_NEW), "skip"),
    }
    handle = temporal.get_workflow_handle(found.workflow_id)
    assert (await handle.describe()).status == WorkflowExecutionStatus.TERMINATED


async def test_servers_that_cannot_be_reached_say_why(settings: Settings) -> None:
    temporal = TemporalSettings(address=settings.temporal.address, namespace="nowhere")
    wrong = await reach_temporal(temporal)
    assert wrong.client is None and wrong.finding.status == "fail"
    assert "nowhere" in wrong.finding.detail and "namespace create" in (wrong.finding.remedy or "")
    assert wrong.version.count(".") == 2
    closed = await reach_temporal(TemporalSettings(address=f"127.0.0.1:{free_port()}"))
    assert closed.client is None and "TEMPORAL_ADDRESS" in (closed.finding.remedy or "")
    assert (await reach_redis(f"redis://127.0.0.1:{free_port()}/0")).status == "fail"
    unauthenticated = settings.redis.url.replace("redis://:", "redis://:not-")
    assert "password" in ((await reach_redis(unauthenticated)).remedy or "")
    password = await reach_postgres(settings.database.url.replace("pavo:", "pavo:not-", 1))
    assert "authentication failed" in password.finding.detail


async def test_what_the_servers_hold_is_read_back(temporal: Client, database: Database, settings: Settings) -> None:
    found = await validated(temporal, Prover(database))
    history, runs = await readback.read_histories(temporal, found.workflow_id, found.first_run_id)
    assert history.status == "pass" and len(runs) == 2
    names = [name for _, name in runs[0].events]
    assert {"EVENT_TYPE_TIMER_FIRED", "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED"} <= set(names)
    sqlite = await readback.count_stored(temporal, "sqlite", None, found.workflow_id, runs)
    assert sqlite.status == "skip" and "SQLite" in sqlite.detail
    other = await readback.count_stored(temporal, "postgres12", settings.database.url, found.workflow_id, runs)
    assert other.status == "fail" and other.remedy
    assert (await readback.ask_ui(None, "default", found.workflow_id, runs)).status == "skip"
    closed = await readback.ask_ui(f"http://127.0.0.1:{free_port()}", "default", found.workflow_id, runs)
    assert closed.status == "fail" and closed.remedy


async def test_a_history_that_is_gone_is_a_failure(temporal: Client) -> None:
    finding, runs = await readback.read_histories(temporal, "pavo-validate-never", str(uuid.uuid4()))
    assert finding.status == "fail" and runs == []
