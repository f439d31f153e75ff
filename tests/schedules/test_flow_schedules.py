"""Runs of published flows that schedules start."""

import uuid

from tests.flows.published.people import Person
from tests.flows.published.test_published import publish
from tests.schedules.scheduling import Schedules

NAP = "flow: nap\ninputs: {long: {type: string, default: 1ms}}\nsteps: {a: {sleep: '${{ inputs.long }}'}}"
YEARLY = {"cron": ["@yearly"]}


async def test_a_run_of_a_flow_begins_once(schedules: Schedules) -> None:
    session = (await schedules.client.get("/api/session")).json()
    person = Person(schedules.client, uuid.UUID(session["organisation_id"]))
    refused = await schedules.create(status=404, times=YEARLY, starts={"flow": {"name": "nap"}})
    assert "nap" in refused["detail"]
    await publish(person, NAP)
    wrong = {"flow": {"name": "nap", "inputs": {"short": "1s"}}}
    assert (await schedules.create(status=422, times=YEARLY, starts=wrong))["field"] == "inputs.short"
    made = await schedules.create(times=YEARLY, starts={"flow": {"name": "nap", "inputs": {"long": "1h"}}})
    path = f"/{made['id']}/trigger"
    first = await schedules.ask("POST", path, json={})
    assert (first["kind"], first["state"]) == ("flow", "started")
    assert (await schedules.ask("POST", path, json={}))["state"] == "skipped", "it is still open"
    await schedules.ask("POST", path, json={"overlap": "CANCEL_OTHER"})
    found = await schedules.until(made["id"], lambda all_: all_[2]["state"] == "started")
    assert found[0]["outcome"] == "cancelled" and found[0]["subject_id"] != found[2]["subject_id"]
