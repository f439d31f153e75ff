"""Queue and fleet against a model, under deaths of agents, gateways and workers, jumps of the clock and cuts of the
network. PostgreSQL, Temporal, gateways and worker are real; the agents speak the real protocol through a TCP proxy.

A driver with seeds takes the place of Hypothesis' machine: what happens depends on processes and timers as well as on
the steps, so an example cannot be repeated exactly, and to make it smaller by repetition would find something else.
What fails prints its seed and its steps.
"""

import os
import uuid

import pytest
from temporalio.client import Client

from pavo.config import Settings
from pavo.kit.migrate import upgrade
from tests.fleet.machine.example import Example
from tests.fleet.machine.world import a_world
from tests.parts import Parts, Stores, drop_database, new_database

EXAMPLES = int(os.environ.get("PAVO_TEST_EXAMPLES", "8"))
STEPS = 14
FIRST_SEED = int(os.environ.get("PAVO_TEST_SEED", "0"))


@pytest.mark.fault
@pytest.mark.timeout(120 + 300 * EXAMPLES)
async def test_queue_and_fleet_follow_the_model(
    parts: Parts, stores: Stores, settings: Settings, temporal: Client
) -> None:
    url = new_database(stores)
    upgrade(url)
    async with a_world(parts, settings, temporal, url, f"machine-{uuid.uuid4().hex[:8]}") as world:
        for seed in range(FIRST_SEED, FIRST_SEED + EXAMPLES):
            await Example(world, seed).run(STEPS)
    drop_database(stores, url)
