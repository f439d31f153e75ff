"""Agents call tools: what was recorded is never called again, and people say whether an unsafe call happened."""

import uuid

import pytest
from sqlalchemy import func, select

from pavo.kit.sql import Database
from pavo.tools.models import ToolCallRow
from tests.driving import types, until
from tests.tools.calling import ADA, AGENTS, Called, Own


@pytest.mark.parametrize("agent", AGENTS)
async def test_what_was_recorded_is_not_called_again(called: Called, agent: str) -> None:
    (called.folder / "fail").touch()
    await called.start(agent, called.one("pay", amount=5), called.one("pay", amount=5), called.one("put", name="x"))
    assert await called.done() == "[{'paid': 5}, {'paid': 5}, 'x']"
    assert len(set(called.told("pay"))) == len(called.told("pay")) == 2, "twice meant, twice done, each once"
    assert len(called.told("put")) == 1
    events = await called.tasks.events(called.id)
    assert types(events).count("tool_called") == types(events).count("tool_done") == 3 and "retry" in types(events)


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_worker_killed_in_mid_call_repeats_nothing_unsafe(own: Own, called: Called, agent: str) -> None:
    (called.folder / "hold").touch()
    await called.start(agent, called.one("pay", amount=5), called.one("put", name="x"))

    async def both() -> bool:
        return bool(called.told("pay") and called.told("put"))

    await until(both, what="both calls")
    own.worker.kill()
    (called.folder / "hold").unlink()
    own.worker = await own.parts.start("worker", **own.environment)
    gate = await called.gate()
    assert gate["kind"] == "effect" and "pay" in gate["text"] and '"amount": 5' in gate["text"]
    assert (await called.tasks.get(called.id))["stage_status"].startswith("WAITING:effect/pay/")
    await called.answer(gate, "perhaps", 422)
    await called.answer(gate, {"yes": {"paid": "seen"}})
    assert await called.done() == "[{'paid': 'seen'}, 'x']"
    assert len(called.told("pay")) == 1, "an unsafe call was repeated"
    assert len(called.told("put")) >= 2 and len(set(called.told("put"))) == 1, "run again with the same key"


async def test_no_runs_it_again_and_stop_ends_the_task(called: Called) -> None:
    await called.start("calling", called.one("lost", key="first"))
    gate = await called.gate()
    await called.answer(gate, "no")
    again = await called.gate()
    assert again["id"] != gate["id"] and len(called.told("lost")) == 2, "each answer is for one time"
    await called.answer(again, "stop")
    failed = await called.tasks.wait(called.id, "FAILED")
    assert ADA in failed["error"]["cause"] and "Resume" in failed["error"]["remedy"]
    await called.tasks.post(f"{called.id}/resume")
    await called.answer(await called.gate(), "yes")
    assert await called.done() == "[None]" and len(called.told("lost")) == 2


@pytest.mark.parametrize("agent", AGENTS)
async def test_bad_tools_and_bad_calls_are_told_to_the_agent(called: Called, agent: str) -> None:
    ways = ("hang", "exit", "raise", "bytes", "nul", "large", "object", "well")
    calls = [{"tool": "bad", "args": {"how": how}} for how in ways]
    calls += [{"tool": "baad", "args": {}}, {"tool": "bad", "args": {"how": 7}}, {"tool": "bad", "args": {"who": "x"}}]
    calls += [{"tool": "broken", "args": {}}]
    await called.start(agent, *calls)
    report = await called.done()
    for told in (
        "did not answer within 2.5 s",
        "SystemExit: 3",
        "RuntimeError: no such",
        "its result cannot be kept: it holds a NUL",
        "its result cannot be kept: it has 100,000,000 bytes",
        "'well'",
        "There is no tool 'baad'",
        "args.how: Input should be a valid string",
        "args.how: Field required",
        "cannot be loaded: TypeError",
    ):
        assert told in report, (told, report)


@pytest.mark.parametrize("agent", AGENTS)
async def test_another_plan_does_not_repeat_what_may_have_happened(called: Called, agent: str) -> None:
    (called.folder / "hold").touch()
    await called.start(agent, called.one("pay", amount=5), called.one("put", name="x"))

    async def both() -> bool:
        return bool(called.told("pay") and called.told("put"))

    await until(both, what="both calls")
    for number in ("one", "two"):  # the second one finds it asked about, and not answered
        await called.tasks.post(f"{called.id}/stop")
        await called.tasks.wait(called.id, "STOPPED")
        (called.folder / "hold").unlink(missing_ok=True)
        edited = await called.tasks.client.patch(f"/api/tasks/{called.id}", json={"prompt": f"another, {number}"})
        assert edited.status_code == 200, edited.text
        await called.tasks.post(f"{called.id}/resume")
        gate = await called.gate()
        assert gate["kind"] == "effect" and '"amount": 5' in gate["text"]
    await called.answer(gate, {"yes": {"paid": "seen"}})
    assert await called.done() == "[{'paid': 'seen'}, 'x']"
    assert len(called.told("pay")) == 1, "an unsafe call was repeated by another plan"
    assert (await called.tasks.get(called.id))["plan"]["version"] == 3


async def test_deleted_with_its_task(called: Called, database: Database) -> None:
    await called.start("calling", called.one("put", name="x"))
    await called.done()

    async def kept() -> int:
        async with database.reading() as session:
            mine = ToolCallRow.subject_id == uuid.UUID(called.id)
            return (await session.scalars(select(func.count()).select_from(ToolCallRow).where(mine))).one()

    assert await kept() == 1
    assert (await called.tasks.client.delete(f"/api/tasks/{called.id}")).status_code == 204
    assert await kept() == 0
