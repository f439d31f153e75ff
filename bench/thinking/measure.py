"""(k) what a call costs, and (l) how many agents are in flight."""

import asyncio
import itertools
import time

from bench.arms.base import Arm
from bench.arms.pavo import moment
from bench.measure import Figures, percentile
from bench.proc import group
from bench.thinking.arms import (
    ROUNDS,
    Framework,
    FrameworkOnTemporal,
    OpenaiAgentsOnTemporal,
    PavoThinking,
    PavoThinkingApart,
)

ARMS: dict[str, type[Arm]] = {
    "alone": Framework,
    "worker": PavoThinking,
    "isolated": PavoThinkingApart,
    "temporal": FrameworkOnTemporal,
    "openai": OpenaiAgentsOnTemporal,
}
CALLS = 2 * ROUNDS + 1
AFTER = 1.0
"""Seconds after which the model answers in (l)."""
IN_FLIGHT_ROUNDS = 8


async def calls(name: str, conversations: int) -> Figures:
    """(k) One round of one arm, on processes of its own: conversations one after the other, by the call."""
    with group(name) as processes:
        arm = ARMS[name](processes)
        await arm.start()
        await arm.one(ROUNDS)  # the connections and statements of a conversation of this length
        before, begun = arm.usage().cpu, time.perf_counter()
        for _ in range(conversations):
            await asyncio.wait_for(arm.one(ROUNDS), 60)
        wall, cpu = time.perf_counter() - begun, arm.usage().cpu - before
        figures = {"wall_ms_per_call": 1000 * wall / conversations / CALLS}
        figures["cpu_ms_per_call"] = 1000 * cpu / conversations / CALLS
        if isinstance(arm, PavoThinking | FrameworkOnTemporal):
            figures["history_events_per_conversation"] = await arm.history_events()
        await arm.stop()
        return figures


async def in_flight(pavo: PavoThinking, tasks: int, tokens: int = 0) -> Figures:
    """(l) So many conversations at once whose model answers after a second, or says so many tokens within it: how long
    a round takes, and what it costs."""
    before, begun = pavo.usage().cpu, time.perf_counter()
    options = {"seconds": AFTER, "start": False, "tokens": tokens}
    ids = await asyncio.gather(*(pavo.create(IN_FLIGHT_ROUNDS, **options) for _ in range(tasks)))
    await asyncio.gather(*(pavo.call("POST", f"/api/tasks/{each}/start") for each in ids))
    await asyncio.wait_for(pavo.until_done(ids), 120)
    wall, cpu = time.perf_counter() - begun, pavo.usage().cpu - before
    rounds: list[float] = []
    for each in ids:
        at = [moment(event) for event in await pavo.events(each) if event["type"] == "tick"]
        rounds += [later - earlier for earlier, later in itertools.pairwise(at)]
    return {
        "round_p50_ms": 1000 * percentile(rounds, 0.5),
        "round_p95_ms": 1000 * percentile(rounds, 0.95),
        "cpu_ms_per_round": 1000 * cpu / (tasks * (IN_FLIGHT_ROUNDS + 1)),
        "rounds_per_s": tasks * (IN_FLIGHT_ROUNDS + 1) / wall,
    }
