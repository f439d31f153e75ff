"""Coding jobs in the long run: queue, gateways, agents and workers against their model, on the stores of a stack."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from pavo import config
from pavo.temporal.client import connect
from tests.faults.stack import Stack
from tests.fleet.machine.playing import play
from tests.parts import Parts, Stores

EXAMPLES = 20
"""At most so many are played at once, and"""
SECONDS = 120.0
"""none is begun after so many."""
PROPERTIES = (
    "tests/fleet/machine",
    "tests/fleet/test_fleet_properties.py",
    "tests/gates/test_gate_machine.py",
    "tests/jobs/attempt/test_restart_properties.py",
    "tests/jobs/attempt/test_status_properties.py",
    "tests/jobs/attempt/test_workflow_properties.py",
    "tests/jobs/queue/test_claim_properties.py",
    "tests/jobs/queue/test_claims_machine.py",
    "tests/jobs/queue/test_queue_properties.py",
    "tests/jobs/test_health.py",
    "tests/tasks/test_machine.py",
    "tests/tasks/test_two_ways.py",
    "tests/tools/test_ledger_machine.py",
    "tests/usage/test_budget_machine.py",
)
"""Tests that play as many examples as `PAVO_TEST_EXAMPLES` says."""


async def queue_and_fleet(stack: Stack) -> None:
    """Deaths of agents, gateways and the worker, cuts, jumps of the clock: nothing is lost or doubled."""
    stores = Stores(stack.database_url, stack.redis_url, stack.temporal_address)
    with TemporaryDirectory(prefix="pavo-fleet-") as folder:
        environment = {
            "DATABASE_URL": stores.database_url,
            "REDIS_URL": stores.redis_url,
            "TEMPORAL_ADDRESS": stores.temporal_address,
            "PAVO_AGENT_FOLDERS": f"{folder}/agents",
            "PAVO_ARTIFACTS_FOLDER": f"{folder}/artifacts",
            "PAVO_JOB_REVIEW_SECONDS": "0",
        }
        with patch.dict(os.environ, environment):
            settings = config.load()
        parts = Parts(environment, Path(folder))
        try:
            temporal = await connect(settings.temporal)
            await play(parts, stores, settings, temporal, _seeds(), SECONDS)
        finally:
            parts.close()


def _seeds() -> Iterator[int]:
    """Others each time; an example that fails prints its own."""
    return iter(random.SystemRandom().sample(range(2**31), EXAMPLES))
