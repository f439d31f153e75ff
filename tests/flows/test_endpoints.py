"""HTTP of flows: the form, and checks by what the deployment has."""

import json
from typing import Any

import httpx2
import jsonschema
import pytest

from pavo.flows.definition.form import json_schema
from tests.driving import until

FLOW = """flow: f
steps:
  a: {tool: serch_corpus@1}
  b: {needs: a, agent: intern}
  c: {job: acme/site}
"""


async def checked(client: httpx2.AsyncClient, text: str) -> dict[str, Any]:
    body = json.dumps({"text": text})  # which writes out half of a character, too
    answer = await client.post("/api/flows/validate", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_schema_is_published(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/flows/schema")
    assert answer.status_code == 200 and answer.json() == json_schema()
    jsonschema.Draft202012Validator.check_schema(answer.json())


async def test_a_flow_is_checked_by_what_there_is(client: httpx2.AsyncClient, stranger: httpx2.AsyncClient) -> None:
    async def known() -> dict[str, Any] | None:
        found = await checked(client, FLOW)
        return found if len(found["problems"]) == 2 else None

    found = await until(known, what="the worker's tools")
    assert found["problems"] == [
        {
            "path": "steps.a.tool",
            "line": 3,
            "column": 7,
            "message": "there is no tool 'serch_corpus'",
            "remedy": "Did you mean 'search_corpus'?",
        },
        {
            "path": "steps.c.job",
            "line": 5,
            "column": 7,
            "message": "there is no repository 'acme/site'",
            "remedy": found["problems"][1]["remedy"],
        },
    ]
    session = (await client.get("/api/session")).json()
    new = {"name": "acme/flowsite", "clone_url": "https://git.example.com/site.git"}
    organisation = session["organisation_id"]
    made = await client.post(f"/api/orgs/{organisation}/repositories", json=new)
    assert made.status_code == 201, made.text
    right = FLOW.replace("serch", "search").replace("acme/site", "acme/flowsite")
    found = await checked(client, right)
    assert found["ok"] and found["flow"] == "f" and found["steps"] == 3 and found["only_on_temporal"] == ["b", "c"]
    assert [each["names"] for each in found["unchecked"]] == ["tool_versions"]
    [foreign] = (await checked(stranger, right))["problems"]
    assert foreign["path"] == "steps.c.job" and "flowsite" not in foreign["remedy"], "another organisation's"
    removed = await client.delete(f"/api/orgs/{organisation}/repositories/{made.json()['id']}")
    assert removed.status_code == 204, removed.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 422),
        (b'{"text": 1}', 422),
        (b'{"text": "x", "more": 1}', 422),
        (b'{"text": "' + b"x" * 2_100_000 + b'"}', 413),
        (b"\xff", 422),
    ],
)
async def test_what_is_no_request_is_refused(client: httpx2.AsyncClient, body: bytes, status: int) -> None:
    answer = await client.post("/api/flows/validate", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["remedy"]


@pytest.mark.parametrize("text", ["", "\ud800", "\0", "a: \x00", "- 1", "#" * 1_500_000, "[" * 100_000])
async def test_a_text_that_is_no_flow_is_a_problem_with_its_place(client: httpx2.AsyncClient, text: str) -> None:
    found = await checked(client, text)
    assert not found["ok"] and found["problems"][0]["line"] == 1 and found["problems"][0]["remedy"]
