"""What events of jobs say is what the API's description says of them."""

import inspect
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import httpx2
import pytest

from pavo.artifacts.domain import Artifact
from pavo.jobs import event_data, events
from pavo.jobs.requests.event_schemas import JOB_EVENT_TYPES, RECORDED, JobEvent, LaterJobEvent
from pavo.timeline.domain import Event, NewEvent
from tests import told
from tests.jobs.organisations import Person

EXAMPLES: dict[Any, Any] = {
    str: "x",
    int: 1,
    bool: True,
    str | None: "x",
    uuid.UUID: uuid.uuid4(),
    Sequence[str]: ["x"],
    Artifact: Artifact(uuid.uuid4(), "patch", "text/x-diff", 1, "0" * 64, datetime.now(UTC)),
    event_data.JobError | None: event_data.JobError(type="Stuck", cause="x", remedy="y"),
}
"""A value of each kind that the makers of events take."""
CHOSEN: dict[str, Any] = {"name": "QUEUED", "kind": "rework", "how": "lost", "state": "gone"}
STATES = {"pull_request": {"state": "merged"}}
MAKERS = [
    make
    for _, make in inspect.getmembers(events, inspect.isfunction)
    if make.__module__ == events.__name__ and inspect.signature(make).return_annotation is NewEvent
]


def made(make: Callable[..., NewEvent], *, all_members: bool) -> dict[str, Any]:
    """What clients get of it, of all that it takes or of the least."""
    chosen = CHOSEN | STATES.get(make.__name__, {})
    given = {
        name: chosen[name] if name in chosen else EXAMPLES[parameter.annotation]
        for name, parameter in inspect.signature(make).parameters.items()
        if all_members or parameter.default is parameter.empty
    }
    if not all_members:
        given |= {
            name: None for name in given if name in ("by", "error") and make.__name__ in ("moved", "attempt_ended")
        }
    event = make(**given)
    return json.loads(Event(uuid.uuid4(), 1, event.type, datetime.now(UTC), event.data).as_json())


def test_every_type_is_described_once_and_made() -> None:
    named = [get_args(get_type_hints(event)["type"])[0] for event in get_args(event_data.JobEvents)]
    assert (
        sorted(named) == sorted(JOB_EVENT_TYPES) == sorted({made(make, all_members=False)["type"] for make in MAKERS})
    )


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_an_event_is_what_the_api_says_of_it(make: Callable[..., NewEvent]) -> None:
    least, most = (made(make, all_members=each) for each in (False, True))
    told.check_job(least)
    told.check_job(most)
    [described] = [event for event in RECORDED if get_args(get_type_hints(event)["type"]) == (most["type"],)]
    assert set(most) == set(described.__annotations__), "described, and never told"
    assert set(least) >= described.__required_keys__
    for wrong in ({**most, "other": 1}, {name: value for name, value in most.items() if name != "at"}):
        with pytest.raises(AssertionError, match="not as it is described"):
            told.check_job(wrong)


def test_a_client_takes_what_only_a_later_version_tells() -> None:
    at = "2026-11-27T15:00:00.000000Z"
    known = JobEvent.model_validate({"seq": 1, "type": "moved", "at": at, "priority": 7})
    assert not isinstance(known.root, LaterJobEvent) and known.root.root["priority"] == 7
    later = JobEvent.model_validate({"seq": 2, "type": "from_later", "at": at, "n": [1]})
    assert isinstance(later.root, LaterJobEvent)


async def test_the_timeline_of_a_job_is_as_described(owner: Person) -> None:
    await owner.post("repositories", name="site", clone_url="http://localhost/site.git", status=201)
    job = await owner.post("jobs", prompt="Fix it", repository="site", program="codex", status=201)
    client: httpx2.AsyncClient = owner.client
    assert (await client.post(f"/api/jobs/{job['id']}/reprioritise", json={"priority": 60})).status_code == 200
    assert (await client.post(f"/api/jobs/{job['id']}/cancel")).status_code == 200
    page = (await client.get(f"/api/jobs/{job['id']}/events")).json()
    for event in page["items"]:
        told.check_job(event)
    assert [event["type"] for event in page["items"]] == ["queued", "moved", "cancel_asked", "stage"]
