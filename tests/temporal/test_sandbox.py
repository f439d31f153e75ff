"""The sparing sandbox: as strict as the SDK's, the same contexts for payloads, less work."""

import gzip
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.converter import DataConverter, PayloadCodec, SerializationContext, WithSerializationContext
from temporalio.worker import Replayer, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from pavo.config import Settings
from pavo.tasks.workflow import AgentTask
from pavo.temporal.client import connect
from pavo.temporal.sandbox import Sandbox
from tests.temporal.naughty import Naughty

HISTORIES = Path(__file__).parent.parent / "histories"
REPLAYED = ("v1-auto_accept-1.json.gz", "v1-review_and_revise-1.json.gz", "v1-failure-1.json.gz")


class Listening(PayloadCodec, WithSerializationContext):
    """Changes nothing, and notes in which context each payload comes."""

    def __init__(self, heard: list[Any], context: SerializationContext | None = None) -> None:
        self._heard, self._context = heard, context

    def with_context(self, context: SerializationContext) -> "Listening":
        return Listening(self._heard, context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self._heard.append(("encode", self._context, len(payloads)))
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self._heard.append(("decode", self._context, len(payloads)))
        return list(payloads)


async def contexts(name: str, runner: WorkflowRunner) -> list[Any]:
    heard: list[Any] = []
    history = WorkflowHistory.from_json(name, gzip.decompress((HISTORIES / name).read_bytes()).decode())
    converter = replace(DataConverter.default, payload_codec=Listening(heard))
    await Replayer(workflows=[AgentTask], workflow_runner=runner, data_converter=converter).replay_workflow(history)
    return heard


@pytest.mark.parametrize("name", REPLAYED)
async def test_payloads_come_in_the_same_contexts_as_in_the_sdks_sandbox(name: str) -> None:
    mine = await contexts(name, Sandbox())
    assert mine == await contexts(name, SandboxedWorkflowRunner())
    assert len({repr(context) for _, context, _ in mine}) >= 2, "of the workflow and of its activities"


@pytest.fixture
async def client(settings: Settings) -> Client:
    return await connect(settings.temporal)


@pytest.mark.parametrize("what", ["open", "time", "random"])
async def test_what_no_workflow_may_do_is_refused(client: Client, what: str) -> None:
    queue = f"naughty-{uuid.uuid4().hex[:8]}"
    async with Worker(
        client,
        task_queue=queue,
        workflows=[Naughty],
        workflow_runner=Sandbox(),
        workflow_failure_exception_types=[Exception],
    ):
        with pytest.raises(WorkflowFailureError) as failure:
            await client.execute_workflow(Naughty.run, what, id=f"{queue}-1", task_queue=queue)
    assert "RestrictedWorkflowAccessError" in str(failure.value.cause) + repr(failure.value.cause)


async def test_runs_share_nothing(client: Client) -> None:
    queue = f"naughty-{uuid.uuid4().hex[:8]}"
    async with Worker(client, task_queue=queue, workflows=[Naughty], workflow_runner=Sandbox()):
        for number in range(3):
            run = await client.execute_workflow(Naughty.run, "nothing", id=f"{queue}-{number}", task_queue=queue)
            assert run == "1"
