"""Runs of which Temporal takes none: those that may begin on the local engine, and go back once it answers."""

import uuid
from collections.abc import Callable
from typing import cast

import pytest

from pavo.errors import Unavailable
from pavo.flows.definition.definition import Definition
from pavo.flows.ledger.records import HANDING_OVER, LOCAL, TEMPORAL
from pavo.flows.runs import RunService
from pavo.flows.temporal.commands import FlowCommands
from pavo.flows.temporal.watching import RunWatch
from pavo.kit.sql import Database


class Away:
    """Temporal, away until it is said to be there."""

    def __init__(self) -> None:
        self.there = False
        self.asked: list[tuple[uuid.UUID, int]] = []

    async def start(self, run_id: uuid.UUID, epoch: int) -> None:
        self.asked.append((run_id, epoch))
        if not self.there:
            raise Unavailable("It is away.", dependency="temporal")

    look = start

    async def is_there(self) -> bool:
        return self.there


@pytest.mark.parametrize("fallback", [True, False])
async def test_a_run_that_temporal_does_not_take_begins_on_the_local_engine_if_its_flow_says_so(
    fallback: bool, database: Database, organisation: uuid.UUID, define: Callable[..., Definition]
) -> None:
    service, temporal = RunService(database), Away()
    flow = f"flow: f\n{'fallback: local' if fallback else ''}\nsteps: {{a: {{sleep: 1h}}}}"
    run = await service.begin(organisation, define(flow), {}, TEMPORAL)
    patient = RunWatch(database, cast(FlowCommands, temporal), 3_600)
    with pytest.raises(Unavailable):
        await patient.look()
    assert (await service.history(organisation, run)).run.engine == TEMPORAL
    with pytest.raises(Unavailable):
        await RunWatch(database, cast(FlowCommands, temporal), 0).look()
    found = (await service.history(organisation, run)).run
    assert (found.engine, found.fallback, found.epoch) == ((LOCAL, True, 1) if fallback else (TEMPORAL, False, 0))
    if not fallback:
        return
    temporal.there = True
    await patient.look()  # it has just seen a start refused
    assert (await service.history(organisation, run)).run.engine == LOCAL
    patient = RunWatch(database, cast(FlowCommands, temporal), 3_600)
    await patient.look()
    assert (await service.history(organisation, run)).run.state == HANDING_OVER
    await patient.look()
    found = (await service.history(organisation, run)).run
    assert (found.engine, found.fallback, found.epoch) == (TEMPORAL, True, 2)
    assert temporal.asked[-1] == (run, 2)
