"""Published flows over HTTP: numbers, what is current, what differs, who sees them."""

import asyncio
from typing import Any

import pytest

from tests.flows.published.people import Person

FLOW = """flow: {name}
inputs: {{limit: {{type: integer, default: {limit}}}}}
steps:
  nap: {{sleep: 1ms}}
  way: {{needs: nap, sleep: 2ms}}
"""


def flow(name: str = "greet", limit: int = 1) -> str:
    return FLOW.format(name=name, limit=limit)


async def publish(person: Person, text: str, status: int = 201, **more: Any) -> Any:
    return await person.post("/flows", status, text=text, **more)


async def test_a_flow_is_published_once_and_read(person: Person) -> None:
    first = await publish(person, flow(), reason="the first one")
    assert (first["number"], first["current"], first["published_by"] is None) == (1, True, False)
    again = await publish(person, "# a comment\n" + flow(), 200)
    assert (first["is_new"], again) == (True, {**first, "is_new": False})
    second = await publish(person, flow(limit=2))
    assert (second["number"], second["current"]) == (2, True)
    found = await person.get("/flows/greet")
    assert (found["number"], found["newest"]) == (2, 2) and list(found["definition"]["steps"]) == ["nap", "way"]
    assert [(each["number"], each["reason"]) for each in found["releases"]] == [(2, ""), (1, "the first one")]
    assert (await publish(person, flow(), 200))["current"] is False, "who repeats a request undoes nothing"
    versions = (await person.get("/flows/greet/versions"))["items"]
    assert [(each["number"], each["current"]) for each in versions] == [(2, True), (1, False)]
    one = await person.get("/flows/greet/versions/1")
    assert one["definition"]["inputs"]["limit"]["default"] == 1 and one["hash"] == first["hash"]


async def test_lists_have_pages_and_filters(person: Person) -> None:
    for name in ("aa", "bb", "abc"):
        await publish(person, flow(name))
    page = await person.get("/flows", limit=2)
    assert [each["name"] for each in page["items"]] == ["abc", "bb"] and page["next_cursor"]
    rest = await person.get("/flows", limit=2, cursor=page["next_cursor"])
    assert [each["name"] for each in rest["items"]] == ["aa"] and rest["next_cursor"] is None
    assert [each["name"] for each in (await person.get("/flows", q="A"))["items"]] == ["abc", "aa"]
    await person.post("/flows/bb/versions/1/deprecate", reason="bad")
    assert [each["name"] for each in (await person.get("/flows", deprecated=True))["items"]] == ["bb"]
    for number in range(2, 5):
        await publish(person, flow("aa", number))
    page = await person.get("/flows/aa/versions", limit=3)
    assert [each["number"] for each in page["items"]] == [4, 3, 2] and page["next"] == 2
    rest = await person.get("/flows/aa/versions", limit=3, before=2)
    assert [each["number"] for each in rest["items"]] == [1] and rest["next"] is None


async def test_many_publishers_at_once_get_numbers_without_gaps(person: Person) -> None:
    found = await asyncio.gather(*(publish(person, flow(limit=each)) for each in range(4)))
    assert sorted(each["number"] for each in found) == [1, 2, 3, 4]
    same = await asyncio.gather(*(person.client.post("/api/flows", json={"text": flow(limit=9)}) for _ in range(4)))
    assert {each.json()["number"] for each in same} == {5}
    assert sorted(each.status_code for each in same) == [200, 200, 200, 201]


async def test_the_current_version_goes_back_and_on(person: Person) -> None:
    await publish(person, flow())
    await publish(person, flow(limit=2))
    back = await person.post("/flows/greet/versions/1/rollback", reason="2 fails")
    assert back["current"] and back["number"] == 1
    await person.post("/flows/greet/versions/1/rollback", reason="said twice")
    found = await person.get("/flows/greet")
    assert (found["number"], found["newest"]) == (1, 2)
    told = [(each["number"], each["rolled_back"], each["reason"]) for each in found["releases"]]
    assert told == [(1, True, "2 fails"), (2, False, ""), (1, False, "")]
    third = await publish(person, flow(limit=3))
    assert (third["number"], third["current"]) == (3, True)
    await person.post("/flows/greet/versions/2/deprecate", reason="it fails")
    wrong = await person.post("/flows/greet/versions/2/rollback", 409)
    assert "deprecated" in wrong["detail"] and "--undo" in wrong["remedy"]
    lifted = await person.post("/flows/greet/versions/2/undeprecate")
    assert lifted["deprecated_at"] is None
    assert (await person.post("/flows/greet/versions/2/rollback"))["current"]


async def test_what_differs_is_told_step_by_step(person: Person) -> None:
    await publish(person, flow())
    await publish(
        person,
        """flow: greet
inputs: {limit: {type: integer, default: 5}}
result: "${{ steps.way.status }}"
steps:
  more: {sleep: 1s}
  way: {needs: more, sleep: 2ms}
""",
    )
    found = await person.get("/flows/greet/diff?from=1&to=2")
    assert (found["added"], found["removed"], found["moved"], found["cut"]) == (["more"], ["nap"], False, False)
    assert found["changed"] == [{"step": "way", "changes": [{"path": "needs", "before": '"nap"', "after": '"more"'}]}]
    assert found["flow"] == [
        {"path": "inputs.limit.default", "before": "1", "after": "5"},
        {"path": "result", "before": None, "after": '"${{ steps.way.status }}"'},
    ]
    lines = found["text"].splitlines()
    assert "@@ steps.way @@" in lines and "-needs: nap" in lines and "+needs: more" in lines
    same = await person.get("/flows/greet/diff?from=2&to=2")
    assert same["text"] == "" and not (same["added"] or same["removed"] or same["changed"] or same["flow"])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("flow: f\nsteps: {a: {tool: t}}", "steps.a.tool"),
        ("flow: schema\nsteps: {a: {sleep: 1s}}", "flow"),
        ("flow: f\nsteps: {a: {flow: nothere@1}}", "steps.a.flow"),
        ("", "the flow"),
    ],
)
async def test_what_is_wrong_is_not_published(person: Person, text: str, field: str) -> None:
    wrong = await publish(person, text, 422)
    assert wrong["field"] == field and wrong["remedy"]
    assert not (await person.get("/flows"))["items"]


async def test_a_child_flow_is_looked_up_among_those_that_are_published(person: Person) -> None:
    await publish(person, flow("child"))
    parent = "flow: parent\nsteps: {a: {flow: child@1}, b: {flow: child@2}}"
    wrong = await publish(person, parent, 422)
    assert wrong["field"] == "steps.b.flow"
    await publish(person, flow("child", 2))
    found = await publish(person, parent)
    assert "flows" not in [each["names"] for each in found["unchecked"]]


async def test_another_organisation_sees_and_changes_nothing(person: Person, other: Person) -> None:
    await publish(person, flow())
    assert not (await other.get("/flows"))["items"]
    for path in ("", "/versions", "/versions/1", "/diff?from=1&to=1"):
        assert "no flow 'greet'" in (await other.get(f"/flows/greet{path}", 404))["detail"]
    for what in ("rollback", "undeprecate"):
        await other.post(f"/flows/greet/versions/1/{what}", 404)
    await other.post("/flows/greet/versions/1/deprecate", 404, reason="x")
    theirs = str(person.organisation_id)
    await other.get("/flows", 404, organisation_id=theirs)
    await other.send("POST", "/flows", 404, params={"organisation_id": theirs}, json={"text": flow("mine")})
    mine = await publish(other, flow())
    assert mine["number"] == 1, "numbers are an organisation's own"
    here = await person.get("/flows", 200, organisation_id=theirs)
    assert [each["name"] for each in here["items"]] == ["greet"]
    assert "no version 7" in (await person.get("/flows/greet/versions/7", 404))["detail"]
