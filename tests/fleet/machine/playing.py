"""Plays examples, one after the other, in a world of their own."""

import time
import uuid
from collections.abc import Iterable

from temporalio.client import Client

from pavo.config import Settings
from pavo.kit.migrate import upgrade
from tests.fleet.machine.example import Example
from tests.fleet.machine.world import a_world
from tests.parts import Parts, Stores, drop_database, new_database

STEPS = 14


async def play(
    parts: Parts,
    stores: Stores,
    settings: Settings,
    temporal: Client,
    seeds: Iterable[int],
    seconds: float = float("inf"),
) -> int:
    """Play an example of each seed, and begin none after so many seconds; how many were played.

    Args:
        parts: with the environment of a stack on these stores.
        settings: of the same stack.
    """
    url, end, played = new_database(stores), time.monotonic() + seconds, 0
    upgrade(url)
    async with a_world(parts, settings, temporal, url, f"machine-{uuid.uuid4().hex[:8]}") as world:
        for seed in seeds:
            if played and time.monotonic() > end:
                break
            await Example(world, seed).run(STEPS)
            played += 1
    drop_database(stores, url)
    return played
