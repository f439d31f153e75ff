"""Tools that hang take a share of a worker's places, and no more; what finds none has not begun."""

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from sqlalchemy import select

from pavo.errors import Unavailable
from pavo.observe import metrics
from pavo.tasks.work.context import called_tools
from pavo.tools.models import ToolCallRow
from pavo.tools.places import Place, Places, keep_usable
from tests.tools import test_task_tools
from tests.tools.test_task_tools import Caller
from tests.tools.test_task_tools import caller as caller

ORGANISATIONS = [uuid.UUID(int=number) for number in range(1, 9)]


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0.01)


async def test_a_call_without_a_place_is_not_recorded_and_runs_once_there_is_one(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(most=3, most_of_one=3, most_hanging=1)
    monkeypatch.setattr(called_tools, "PLACES", places)
    other = await Caller(caller.database, caller._publisher).begin()  # pyright: ignore[reportPrivateUsage]
    assert (await caller.call("before", "strange", how="measureless")).value == "fine"
    assert (await caller.call("hangs", "slow")).asks is not None, "to ask about it, no place is needed"
    assert metrics.TOOLS_HANGING.values[()] == 1
    with pytest.raises(Unavailable, match=r"1 calls of the organisation .* hang"):
        await caller.call("a", "strange", how="measureless")
    with pytest.raises(Unavailable, match="1 calls of the tool slow hang"):
        await other.call("a", "slow")
    assert (await other.call("b", "strange", how="measureless")).value == "fine", "another's call found no place"
    assert (await caller.call("before", "strange", how="measureless")).value == "fine", "it is recorded"
    async with caller.database.transaction() as session:
        mine = select(ToolCallRow.identity).where(ToolCallRow.subject_id == caller.subject.id)
        assert set(await session.scalars(mine)) == {"key:before", "key:hangs"}
    test_task_tools.go.set()
    await until(lambda: metrics.TOOLS_HANGING.values[()] == 0)
    assert (await caller.call("a", "strange", how="measureless")).value == "fine"


async def test_a_call_without_a_place_leaves_those_beside_it_their_outcome(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[object] = []

    class Seen(Places):
        def find(self, tool: str, organisation: uuid.UUID) -> Place | Unavailable:
            found.append(super().find(tool, organisation))
            return found[-1]  # pyright: ignore[reportReturnType]

    monkeypatch.setattr(called_tools, "PLACES", Seen(most=1, most_of_one=1, most_hanging=1))
    beside = asyncio.create_task(caller.call("a", to="ada"))
    await until(lambda: test_task_tools.told == ["ada"])
    lacking = asyncio.create_task(caller.call("b", "strange", how="measureless"))
    await until(lambda: lacking.done() or any(isinstance(each, Unavailable) for each in found))
    test_task_tools.go.set()
    assert (await lacking).value == "fine", "it ended the attempt, while another call ran"
    assert (await beside).value == "sent to ada"


def test_no_tool_and_no_organisation_takes_all() -> None:
    places = Places(most=4, most_of_one=3, most_hanging=2)
    mine = [places.take(f"t{number}", ORGANISATIONS[0]) for number in range(3)]
    with pytest.raises(Unavailable, match="run or hang"):
        places.take("t9", ORGANISATIONS[0])
    places.take("t9", ORGANISATIONS[1])
    with pytest.raises(Unavailable, match="4 tools run or hang in this worker"):
        places.take("t9", ORGANISATIONS[2])
    mine[0].give_back()
    mine[0].give_back()
    places.take("t9", ORGANISATIONS[2])


async def test_a_worker_all_of_whose_places_hang_begins_anew() -> None:
    places, begun = Places(most=2, most_of_one=2, most_hanging=2), list[str]()
    hanging: list[Future[None]] = []
    watching = asyncio.create_task(keep_usable(places, lambda: begun.append("anew"), 0.05, 1000, 0.01))
    for organisation in ORGANISATIONS[:2]:
        place = places.take("t", organisation)
        hanging.append(Future())
        place.begun(hanging[-1])
        assert not begun
        place.left_behind()
        place.give_back()
    await until(lambda: begun)
    for each in hanging:
        each.set_result(None)
    assert not places.is_lost and not places.lost_shares
    watching.cancel()


async def test_one_that_runs_long_does_not_hang() -> None:
    places, begun = Places(most=1, most_of_one=1, most_hanging=1), list[str]()
    places.take("t", ORGANISATIONS[0]).begun(Future())
    looks = 0

    def looked() -> bool:
        nonlocal looks
        looks += 1
        return looks > 20

    watching = asyncio.create_task(keep_usable(places, lambda: begun.append("anew"), 0.0, 0.0, 0.001))
    await until(looked)
    watching.cancel()
    assert not begun and not places.is_lost and not places.lost_shares
