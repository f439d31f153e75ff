"""Queue and fleet against a model, under deaths of agents, gateways and workers, jumps of the clock and cuts of the
network. PostgreSQL, Temporal, gateways and worker are real; the agents speak the real protocol through a TCP proxy.

A driver with seeds takes the place of Hypothesis' machine: what happens depends on processes and timers as well as on
the steps, so an example cannot be repeated exactly, and to make it smaller by repetition would find something else.
What fails prints its seed and its steps.
"""

import os

import pytest
from temporalio.client import Client

from pavo.config import Settings
from tests.drawing import EXAMPLES
from tests.fleet.machine.playing import play
from tests.parts import Parts, Stores

FIRST_SEED = int(os.environ.get("PAVO_TEST_SEED", "0"))


@pytest.mark.fault
@pytest.mark.timeout(120 + 300 * EXAMPLES)
async def test_queue_and_fleet_follow_the_model(
    parts: Parts, stores: Stores, settings: Settings, temporal: Client
) -> None:
    seeds = range(FIRST_SEED, FIRST_SEED + EXAMPLES)
    assert await play(parts, stores, settings, temporal, seeds) == EXAMPLES
