"""A long conversation of the agent `llm`: its last rounds cost what its first ones do, in the same memory."""

import json
import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.driving import until
from tests.llm.scripted import ModelServer, model_server
from tests.llm_agent.long_tools import install
from tests.parts import Parts
from tests.tasks.own_stack import Own, on_path, own_stack

__all__ = ["model_server"]
ROUNDS = int(os.environ.get("PAVO_LONG_ROUNDS", "180"))
"""1,000 take longer than a test may, which fails once it has printed what it measured:
`PAVO_LONG_ROUNDS=1000 pytest -s tests/llm_agent/test_long.py`."""
COMPACTION = os.environ.get("PAVO_LONG_COMPACTION", "cut")
"""With `off` each request is longer than the one before, by 4 KB; then the test judges memory, and prints the time."""
FULL = 60
"""After so many rounds the model is shown as much as it is ever shown: from then on all do the same."""
SAMPLE = 60
"""Rounds of which the median is taken, at either end."""
FLAT = 1.15
"""How much more one of the last rounds may take than one of the first."""
TRIES = 3
"""The machine of a test does other things too: it is enough that it was flat once."""
HISTORY = 2
"""Events of Temporal's history for each round, at most: peers die of theirs."""
GROWTH_KB = 8_000
"""Of the worker's greatest memory."""
PLAN = {"goal": "Read it all.", "steps": [{"title": "Read"}], "risks": [], "tools": ["page"]}


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    models = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "scripted"}
    async with own_stack(parts, "long", {"PYTHONPATH": on_path(folder), **models}) as stack:
        yield stack


def peak(own: Own) -> int:
    """KB of the worker, at most so far."""
    status = Path(f"/proc/{own.worker.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def spent_ms(own: Own) -> float:
    """Of CPU time by the worker's process so far."""
    fields = Path(f"/proc/{own.worker.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


async def cpu_of_rounds(own: Own, task_id: str) -> list[tuple[int, float]]:
    """Pairs of rounds done and the worker's CPU time until then, as long as the task runs."""
    seen: list[tuple[int, float]] = []

    async def over() -> bool:
        task = await own.tasks.get(task_id)
        seen.append((task["steps"], spent_ms(own)))
        return task["stage"] in ("DONE", "FAILED")

    await until(over, what="its end", seconds=600)
    return seen


def cpu_between(seen: Sequence[tuple[int, float]], first: int, last: int) -> float:
    """Milliseconds of the worker's CPU for each of these rounds."""
    within = [each for each in seen if first <= each[0] <= last]
    return (within[-1][1] - within[0][1]) / (within[-1][0] - within[0][0])


async def read(own: Own, temporal: Client) -> tuple[float, float, int]:
    """Milliseconds of a round among the first and among the last, the median; and KB that the worker grew by."""
    options = {"compaction": COMPACTION, "same_calls": 1000, "still_turns": 10_000, "still_tokens": 1_000_000_000}
    task_id = await own.tasks.started(options, agent_type="llm", auto_accept=True)

    async def filled() -> bool:
        return (await own.tasks.get(task_id))["steps"] > FULL

    await until(filled, what="a full window", seconds=60)
    before = peak(own)
    seen = await cpu_of_rounds(own, task_id)
    assert (await own.tasks.get(task_id))["stage"] == "DONE", (seen[-1], (await own.tasks.get(task_id))["error"])
    early, late = cpu_between(seen, FULL, FULL + SAMPLE), cpu_between(seen, ROUNDS - SAMPLE, ROUNDS)
    told = f"{early:.1f} ms a round among the first, {late:.1f} ms among the last ({late / early:.2f} times)"
    print(f"\nCPU of the worker, {COMPACTION}: {told}")
    events = [each for each in await own.tasks.events(task_id) if each["type"] == "model_answered"]
    assert len(events) == ROUNDS + 1 and events[-1]["text"] == "It is read."
    run = temporal.get_workflow_handle((await own.tasks.get(task_id))["workflow_id"])
    assert (await run.describe()).history_length < HISTORY * ROUNDS
    at = [datetime.fromisoformat(event["at"]).timestamp() for event in events]
    took = [(later - earlier) * 1000 for earlier, later in pairwise(at)]
    return median(took[FULL : FULL + SAMPLE]), median(took[-SAMPLE:]), peak(own) - before


@pytest.mark.serial
async def test_the_last_rounds_cost_what_the_first_did(own: Own, model_server: ModelServer, temporal: Client) -> None:
    """`pytest -s` prints what it measured."""
    turn = {
        "text": None,
        "tools": [{"name": "page", "arguments": {"last": ROUNDS}}],
        "unless": "that was the last page",
    }
    answers = [*[turn] * max(200, ROUNDS + 1), {"text": "It is read."}]
    body = {"answers": answers, "formed": [{"text": json.dumps(PLAN)}], "brief": True}
    assert httpx2.put(f"http://127.0.0.1:{model_server.port}/scripts/", content=json.dumps(body)).status_code == 200
    found: list[float] = []
    for _ in range(TRIES):
        first, last, grown = await read(own, temporal)
        found.append(last / first)
        print(
            f"\n{ROUNDS} rounds with 4 KB results: {first:.1f} ms a round among the first with a full window, "
            f"{last:.1f} ms among the last ({last / first:.2f} times); the worker's memory grew by {grown:,} KB"
        )
        if COMPACTION == "off":
            assert grown <= GROWTH_KB + 12 * 4 * ROUNDS, "copies of the conversation are kept"
            return
        assert grown <= GROWTH_KB
        if found[-1] <= FLAT:
            break
    assert min(found) <= FLAT, found
