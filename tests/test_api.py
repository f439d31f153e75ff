"""The API as a whole: its description, its health, and that no request makes it fail."""

import uuid
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pavo import config, errors
from pavo.api import STATUS, create_app, status_of
from tests.driving import Tasks

DESCRIPTION: dict[str, Any] = create_app(config.Settings()).openapi()
OPERATIONS = [
    (method, path, operation) for path, item in DESCRIPTION["paths"].items() for method, operation in item.items()
]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=lambda value: str(value)[:60])
def test_every_operation_is_described(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"] and operation["operationId"] and operation["responses"]
    assert operation.get("description"), f"{method} {path} has no docstring"


def test_every_error_has_a_status() -> None:
    assert status_of(errors.WrongPlanHash("x")) == 409 and status_of(errors.OutcomeUnknown("x", dependency="w")) == 503
    assert status_of(errors.TooLarge("x")) == 413 and status_of(errors.BadRequest("x")) == 400
    assert set(STATUS) <= {kind for kind in vars(errors).values() if isinstance(kind, type)}


async def test_health(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"ok": True}
    ready = await client.get("/readyz")
    assert ready.status_code == 200, ready.text
    assert ready.json() == {"ready": True, "postgres": "ok", "redis": "ok", "temporal": "ok", "reconciled": "ok"}


async def test_unknown_pages_are_problems(client: httpx2.AsyncClient) -> None:
    for method, path in (("GET", "/nowhere"), ("PUT", "/api/tasks")):
        answer = await client.request(method, path)
        assert answer.status_code in (404, 405)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/tasks", "/api/agents", "/me_v2", "/"])
async def test_head_is_get_without_the_body(client: httpx2.AsyncClient, path: str) -> None:
    head, get = await client.head(path), await client.get(path)
    assert (head.status_code, head.content) == (200, b"") and get.content
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # which counts the one request more
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/tasks/{id}", "DELETE, GET, HEAD, PATCH"),
        ("PATCH", "/api/tasks", "GET, HEAD, POST"),
        ("HEAD", "/api/tasks/{id}/stream", "GET"),
        ("HEAD", "/tasks/{id}/stream", "GET"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_405_names_every_method(client: httpx2.AsyncClient, method: str, path: str, allow: str) -> None:
    answer = await client.request(method, path.replace("{id}", str(uuid.uuid4())))
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert method == "HEAD" or allow in answer.json()["remedy"]


NO_CREDENTIALS = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
"""Invented tokens would be answered 401, whatever else is in the request."""
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION, config=NO_CREDENTIALS)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
TRIED = [
    operation.ok()
    for operation in SCHEMA.get_all_operations()
    if operation.ok().path not in ("/api/tasks/{task_id}/stream", "/tasks/{task_id}/stream")
]
BOUNDED = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


FUZZ = {"X-User-Email": "fuzz@example.com"}


@pytest_asyncio.fixture(scope="module")
async def known(stack: str) -> list[dict[str, str]]:
    """Ids that exist: a task whose plan is under review, with a comment, and one that is done."""
    async with httpx2.AsyncClient(base_url=stack, headers=FUZZ, timeout=30) as client:
        tasks = Tasks(client)
        task = await tasks.reviewable()
        document = task["plan"]["document_id"]
        comment = await tasks.post(f"{task['id']}/documents/{document}/feedback", 201, body="Why?")
        done = await tasks.wait(await tasks.started(auto_accept=True), "DONE")
        plan = done["plan"]["document_id"]
        return [
            {"task_id": task["id"], "document_id": document, "feedback_id": comment["id"]},
            {"task_id": done["id"], "document_id": plan, "feedback_id": comment["id"]},
        ]


def lead_somewhere(data: Any, case: Any, known: list[dict[str, str]]) -> None:
    """Ids that are made up are answered 404: put known ones in their place, but for deletions."""
    ids = data.draw(st.sampled_from([{}, *known]))
    if case.method != "DELETE":
        for place in (case.path_parameters, case.query):
            place.update({name: value for name, value in ids.items() if name in place})


@pytest.mark.parametrize("operation", TRIED, ids=lambda operation: f"{operation.method} {operation.path}")
def test_no_request_makes_it_fail(stack: str, known: list[dict[str, str]], operation: Any) -> None:
    """What schemathesis makes of the description, valid and not: answered as described, and never with a 5xx."""

    @BOUNDED
    @given(data=st.data())
    def run(data: Any) -> None:
        mode = data.draw(st.sampled_from([schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if mode == schemathesis.GenerationMode.POSITIVE:
            lead_somewhere(data, case, known)
        answer = case.call(base_url=stack, headers=FUZZ, timeout=30)
        case.validate_response(answer, checks=CHECKS)

    run()
