"""A task that an agent delegates: a task of its own, for which the other waits without a slot."""

import asyncio
import uuid

import pytest
from sqlalchemy import text

from pavo.kit.sql import Database
from pavo.tasks.sql import delegations
from tests.delegating.leading import Led
from tests.driving import stages, types, until

LINKS = ("child_created", "child_over")


@pytest.mark.parametrize("agent", ["leading", "leading_apart"])
async def test_a_task_of_its_own_with_a_link_both_ways(led: Led, agent: str) -> None:
    await led.start(agent, led.child(waits=True))
    [child] = await led.children()
    await led.child_at(child)  # in the only slot: the other waits without one
    parent, task = await led.waits(), await led.tasks.get(child)
    assert parent["stage_status"] == f"WAITING:task {child}" and parent["parent_id"] is None
    assert (task["parent_id"], task["prompt"], task["auto_accept"]) == (led.id, "tea", True)
    led.go.touch()
    assert await led.done() == "DONE: helped with tea"
    begun, over = [event for event in await led.tasks.events(led.id) if event["type"] in LINKS]
    assert (begun["type"], begun["task_id"], begun["agent"], begun["title"]) == (
        *("child_created", child, "helping"),
        "Help with tea",
    )
    assert (over["type"], over["task_id"], over["stage"]) == ("child_over", child, "DONE")
    assert stages(await led.tasks.events(child))[-1] == "DONE"
    assert led.told() == ["begin None", "begin {'told': None}", "told ['DONE: helped with tea']"]


async def test_several_at_once_come_together_and_failure_is_an_outcome(led: Led) -> None:
    below = led.nested(led.child("milk"))
    await led.start("leading", led.child("tea"), led.child("pie", options={"refuse": True}), below)
    told = (await led.done()).split(" | ")
    assert told == ["DONE: helped with tea", "FAILED: I would rather not.", "DONE: DONE: helped with milk"]
    assert len(await led.children(3)) == 3
    found = await led.tasks.events(led.id)
    assert sorted(types(found, *LINKS)) == sorted([*LINKS] * 3)
    assert sorted(event["stage"] for event in found if event["type"] == "child_over") == ["DONE", "DONE", "FAILED"]


async def test_a_child_that_a_person_stops_is_an_outcome(led: Led) -> None:
    await led.start("leading", led.child(waits=True))
    [child] = await led.children()
    await led.child_at(child)
    await led.tasks.post(f"{child}/stop")
    assert await led.done() == "STOPPED: Somebody stopped it."


async def test_a_child_that_is_deleted_is_an_outcome(led: Led) -> None:
    await led.start("leading", led.child(waits=True))
    [child] = await led.children()
    await led.child_at(child)
    assert (await led.tasks.client.delete(f"/api/tasks/{child}")).status_code == 204
    assert await led.done() in ("STOPPED: Somebody stopped it.", "DELETED: Somebody deleted it.")


async def test_children_stop_and_go_on_with_their_parent(led: Led) -> None:
    await led.start("leading", led.nested(led.child(waits=True)))
    [middle] = await led.children()
    top, led.id = led.id, middle
    [child] = await led.children()
    await led.child_at(child)
    led.id = top
    await led.tasks.post(f"{led.id}/stop")
    for each in (led.id, middle, child):
        await led.tasks.wait(each, "STOPPED")
    await led.tasks.post(f"{led.id}/resume")
    led.go.touch()
    assert await led.done() == "DONE: DONE: helped with tea"
    assert await led.children() == [middle]
    assert stages(await led.tasks.events(child)).count("STOPPED") == 1


async def test_a_stop_that_races_with_the_childs_end_loses_neither(led: Led) -> None:
    await led.start("leading", led.child(waits=True))
    [child] = await led.children()
    await led.child_at(child)
    led.go.touch()
    await asyncio.sleep(0)
    await led.tasks.client.post(f"/api/tasks/{led.id}/stop")
    stage = (await led.tasks.wait(led.id, "STOPPED", "DONE"))["stage"]
    if stage == "STOPPED":
        await led.tasks.post(f"{led.id}/resume")
    assert await led.done() == "DONE: helped with tea"
    assert await led.children() == [child]
    assert types(await led.tasks.events(led.id), *LINKS) == [*LINKS]


async def test_deleted_with_what_it_delegated(led: Led) -> None:
    await led.start("leading", led.nested(led.child(waits=True)))
    [middle] = await led.children()
    top, led.id = led.id, middle
    [child] = await led.children()
    await led.child_at(child)
    assert (await led.tasks.client.delete(f"/api/tasks/{top}")).status_code == 204
    for each in (top, middle, child):
        assert (await led.tasks.client.get(f"/api/tasks/{each}")).status_code == 404


async def failure(led: Led) -> dict[str, str]:
    return (await led.tasks.wait(led.id, "FAILED"))["error"]


async def test_what_cannot_be_delegated_says_why(led: Led) -> None:
    await led.start("leading", {"agent": "nobody", "title": "x", "prompt": ""})
    error = await failure(led)
    assert "nobody" in error["cause"] and "Known agents" in error["remedy"]
    await led.start("leading", led.child(options={"sugar": 2}))
    assert "sugar" in (await failure(led))["cause"]
    await led.start("leading", led.child("tea", key="drink"), led.child("milk", key="drink"))
    assert "'drink' names another task" in (await failure(led))["cause"]


async def test_too_deep_names_the_limit(led: Led) -> None:
    wanted = led.child()
    for _ in range(6):
        wanted = led.nested(wanted)
    await led.start("leading", wanted)
    assert "and 5 is the most" in await led.done()


async def follow_up(led: Led, child: str) -> None:
    """Have a child that is done go on."""
    answer = await led.tasks.client.post(f"/api/tasks/{child}/messages", json={"body": "And another."})
    assert answer.status_code == 201 and answer.json()["placed"] == "follow_up", answer.text


async def done_again(led: Led, child: str) -> None:
    async def again() -> bool:
        return stages(await led.tasks.events(child)).count("DONE") == 2

    await until(again, what="the child to be done again")


async def test_what_a_child_does_later_changes_nothing_of_its_outcome(led: Led, database: Database) -> None:
    await led.start("leading", led.child())
    [child] = await led.children()
    assert await led.done() == "DONE: helped with tea"
    told = text("SELECT outcome, begun, paused FROM delegations WHERE child_id = :id")
    async with database.reading() as session:
        before = (await session.execute(told, {"id": uuid.UUID(child)})).one()
    events = await led.tasks.events(led.id)
    await follow_up(led, child)
    await done_again(led, child)
    async with database.reading() as session:
        assert (await session.execute(told, {"id": uuid.UUID(child)})).one() == before
    assert await led.tasks.events(led.id) == events and (await led.tasks.get(led.id))["stage"] == "DONE"


async def test_an_outcome_that_nobody_has_heard_yet_stays_what_it_was(led: Led, database: Database) -> None:
    """The parent is stopped while the child ends, and the child goes on meanwhile."""
    await led.start("leading", led.child(waits=True), led.child("pie"))
    children = await led.children(2)
    [tea] = [each for each in children if (await led.tasks.get(each))["prompt"] == "tea"]
    await led.child_at(tea)
    await led.tasks.post(f"{led.id}/stop")
    await led.tasks.wait(tea, "STOPPED")
    led.go.touch()
    await led.tasks.post(f"{tea}/resume")
    await led.tasks.wait(tea, "DONE")
    await follow_up(led, tea)
    await done_again(led, tea)
    async with database.reading() as session:
        row = await delegations.find(session, uuid.UUID(tea))
        assert row is not None and (found := await delegations.outcome(session, *row)) is not None
    assert (found.stage, found.report) == ("DONE", "helped with tea")
    await led.tasks.post(f"{led.id}/resume")
    assert await led.done() == "DONE: helped with tea | DONE: helped with pie"


async def test_a_child_that_people_have_go_on_does_not_end_with_its_parent(led: Led, database: Database) -> None:
    """It was done, so what ends a parent's children leaves it alone: the stop, and the second line."""
    await led.start("leading", led.child(waits=True), led.child("pie"))
    children = await led.children(2)
    [tea] = [each for each in children if (await led.tasks.get(each))["prompt"] == "tea"]
    await led.child_at(tea)
    await led.tasks.post(f"{led.id}/stop")
    await led.tasks.wait(tea, "STOPPED")
    led.go.touch()
    await led.tasks.post(f"{tea}/resume")
    await led.tasks.wait(tea, "DONE")
    led.go.unlink()
    await follow_up(led, tea)
    await led.tasks.wait(tea, "EXECUTING")
    old = text("UPDATE tasks SET updated_at = pavo_now() - interval '1 minute' WHERE id = :id")
    async with database.transaction() as session:
        await delegations.pause(session, uuid.UUID(led.id))
        await session.execute(old, {"id": uuid.UUID(tea)})
    async with database.reading() as session:
        assert uuid.UUID(tea) not in {child.id for child in await delegations.left_running(session)}
        assert uuid.UUID(tea) not in {child.id for _, child in await delegations.unsettled(session, uuid.UUID(led.id))}
    led.go.touch()
    await done_again(led, tea)
    assert "STOPPED" not in stages(await led.tasks.events(tea))[-4:]
    await led.tasks.post(f"{led.id}/resume")
    assert await led.done() == "DONE: helped with tea | DONE: helped with pie"
