"""The description against what is really answered; `tests/test_api.py` tries its operations."""

import re
from typing import Any

import httpx2
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from pydantic import BaseModel, ValidationError

from pavo import config
from pavo.agents.event_types import PAVO_EVENT_TYPES
from pavo.api import create_app
from pavo.errors import InvalidInput, PavoError, WrongPlanHash
from pavo.jobs.requests.event_schemas import JOB_EVENT_TYPES
from pavo.kit.problem import PROBLEM_JSON, Problem, problem

DESCRIPTION: dict[str, Any] = create_app(config.Settings()).openapi()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
]
REFERENCE = {"$ref": "#/components/schemas/Problem"}
ASK_NOBODY = {"POST /api/session", "DELETE /api/session", "GET /healthz", "GET /readyz", "GET /metrics"} | {
    "POST /api/triggers/{trigger_id}"
}
NEVER_TOO_EARLY = {
    "DELETE /api/organisations/{organisation_id}/webhooks/{webhook_id}",
    "DELETE /api/organisations/{organisation_id}/invitations/{invitation_id}",
    "DELETE /api/organisations/{organisation_id}/corpus/{document_id}",
    "POST /api/organisations/{organisation_id}/corpus",
    "PATCH /api/organisations/{organisation_id}",
    "POST /api/invitations/{invitation_id}/decline",
    "DELETE /api/tokens/{token_id}",
    "PATCH /api/policies/{policy_id}",
    "DELETE /api/policies/{policy_id}",
    "DELETE /api/tools/{tool}/effect",
    "DELETE /api/organisations/{organisation_id}/secrets/{name}",
    "DELETE /api/organisations/{organisation_id}/model-endpoints/{name}",
    "DELETE /api/budgets/{budget_id}",
    "DELETE /api/orgs/{organisation_id}/agent-tokens/{token_id}",
    "POST /api/orgs/{organisation_id}/agents/{agent}/drain",
    "POST /api/orgs/{organisation_id}/agents/{agent}/undrain",
    "PATCH /api/orgs/{organisation_id}/queue",
    "POST /api/orgs/{organisation_id}/queue/pause",
    "POST /api/orgs/{organisation_id}/queue/resume",
    "POST /api/flows/{name}/versions/{number}/deprecate",
    "POST /api/flows/{name}/versions/{number}/undeprecate",
    "DELETE /api/triggers/{trigger_id}",
    "POST /api/triggers/{trigger_id}/pause",
    "POST /api/triggers/{trigger_id}/resume",
    "DELETE /api/schedules/{schedule_id}",
    "POST /api/schedules/{schedule_id}/pause",
    "POST /api/schedules/{schedule_id}/resume",
    "POST /api/schedules/{schedule_id}/trigger",
}
"""Commands that are possible whatever state something is in."""
FINDS = {
    "GET /agent_status",
    "POST /api/invitations/accept",
    "GET /api/policies",
    "POST /api/policies",
    "POST /api/flows/generate",
    "GET /api/usage",
    "GET /api/budgets",
    "GET /api/schedules",
    "POST /api/schedules",
    "GET /api/triggers",
    "POST /api/triggers",
    "GET /api/gates",
    "GET /api/inbox",
    "PUT /api/budgets",
    "GET /api/flows",
    "POST /api/flows",
    "POST /api/flows/validate",
    "GET /api/flow-runs",
    "GET /api/flow-doctor",
    "POST /api/flow-doctor/repair",
    "POST /api/flow-runs",
}
CREATE = {
    "POST /api/triggers",
    "POST /api/flows",
    "POST /api/flows/generate",
    "POST /api/schedules",
    "POST /api/tasks",
    "POST /api/organisations",
    "POST /api/tokens",
    "POST /api/invitations/accept",
    "POST /api/policies",
    "POST /api/flow-runs",
    "PUT /api/organisations/{organisation_id}/secrets/{name}",
    "PUT /api/organisations/{organisation_id}/model-endpoints/{name}",
}
HIDES = {"POST /api/triggers/{trigger_id}"}
"""That says of nothing whether it is there."""
ALSO_NOBODY = {"GET /me_v2", "GET /agent_status"}


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
class TestEveryOperation:
    def test_errors_are_problems(self, name: str, operation: dict[str, Any]) -> None:
        errors = {status: found for status, found in operation["responses"].items() if status >= "400"}
        assert {"403", "408", "413", "414", "422", "431", "500"} <= set(errors), "of whatever is asked for"
        for status, found in errors.items():
            also = {"application/json"} if (name, status) == ("GET /readyz", "503") else set[str]()
            assert set(found["content"]) == {PROBLEM_JSON} | also, (name, status)
            assert found["content"][PROBLEM_JSON]["schema"] == REFERENCE and found["description"]

    def test_errors_are_those_that_it_can_answer(self, name: str, operation: dict[str, Any]) -> None:
        found = set(operation["responses"])
        assert ("404" in found) == (("{" in name or name in FINDS) and name not in HIDES)
        assert ("503" in found) == (name != "GET /healthz"), "which is answered also under overload"
        command = name.partition(" ")[0] in ("POST", "PATCH", "DELETE") and "{" in name
        assert ("409" in found) == ((command or name in CREATE) and name not in NEVER_TOO_EARLY)
        assert all("Retry-After" in operation["responses"][status]["headers"] for status in found & {"503"})

    def test_who_is_asked_for(self, name: str, operation: dict[str, Any]) -> None:
        known = [{"bearerToken": []}, {"sessionCookie": []}]
        if name in ASK_NOBODY:
            assert not operation.get("security")
        else:
            assert operation["security"] == ([{}] if name in ALSO_NOBODY else []) + known
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]

    def test_what_succeeds_has_a_type(self, name: str, operation: dict[str, Any]) -> None:
        for status, found in operation["responses"].items():
            if status < "300" and status != "204":
                [(media_type, content)] = found["content"].items()
                assert media_type != "application/json" or re.search(r"'\$ref'", str(content["schema"])), (name, status)


def test_the_description_is_what_openapi_takes() -> None:
    OpenAPIV31SpecValidator(DESCRIPTION).validate()
    wrong = DESCRIPTION | {"paths": {"/x": {"get": {"responses": {}, "other": 1}}}}
    with pytest.raises(OpenAPIValidationError):
        OpenAPIV31SpecValidator(wrong).validate()


def test_what_is_answered_besides() -> None:
    paths = DESCRIPTION["paths"]
    assert {"200", "201"} <= set(paths["/api/tasks"]["post"]["responses"])
    for path in ("/api/tasks/{task_id}/stream", "/tasks/{task_id}/stream"):
        assert "content" not in paths[path]["get"]["responses"]["204"]
    schemes = DESCRIPTION["components"]["securitySchemes"]
    assert schemes["bearerToken"]["scheme"] == "bearer" and schemes["sessionCookie"]["in"] == "cookie"


def test_every_reference_leads_somewhere_and_no_schema_is_left_over() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    named = set(re.findall(r"#/components/schemas/(\w+)", str(DESCRIPTION)))
    assert named == set(schemas)


def test_the_schema_of_problems_takes_problems() -> None:
    schema = Problem.model_json_schema()
    for error in (PavoError("x"), InvalidInput("x", field="f", remedy="r"), WrongPlanHash("x", current_hash=None)):
        jsonschema.validate(problem(422, error), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"detail": [{"loc": ["body"]}]}, schema)


async def test_the_api_shows_this_description(client: httpx2.AsyncClient) -> None:
    for _ in range(2):
        assert (await client.get("/openapi.json")).json() == DESCRIPTION


LARGE = b"x" * 2_100_000


@pytest.mark.parametrize(
    ("status", "method", "path", "sent"),
    [
        (422, "GET", "/api/tasks?q=" + "x" * 201, {}),
        (413, "GET", "/healthz", {"content": LARGE}),
        (413, "DELETE", "/api/session", {"content": LARGE}),
        (414, "GET", "/readyz?x=" + "x" * 9_000, {}),
        (422, "DELETE", "/api/session?x=%00", {}),
        (431, "GET", "/metrics", {"headers": {"X-Long": "x" * 40_000}}),
    ],
    ids=["a text", "a body that nobody reads", "another", "the address", "a NUL", "headers"],
)
async def test_what_any_request_may_be_answered_is_described(
    client: httpx2.AsyncClient, status: int, method: str, path: str, sent: dict[str, Any]
) -> None:
    assert (await client.request(method, path, **sent)).status_code == status
    assert str(status) in DESCRIPTION["paths"][path.partition("?")[0]][method.lower()]["responses"]


def bodies() -> list[type[BaseModel]]:
    """The models of all request bodies."""
    wanted = {name for _, each in OPERATIONS for name in re.findall(r"schemas/(\w+)", str(each.get("requestBody")))}
    kinds, known = [BaseModel], list[type[BaseModel]]()
    while kinds:
        kinds += (kind := kinds.pop()).__subclasses__()
        known.append(kind)
    return [kind for kind in known if kind.__name__ in wanted and kind.__module__.startswith("pavo.")]


ALMOST: dict[str, list[object]] = {"integer": [True, "1", 1.5], "number": [True, "1"], "boolean": [1, "true"]}
"""What pydantic would take for each, unless it is told to be strict."""


def test_no_body_takes_what_is_almost_a_number_or_a_boolean() -> None:
    asked = 0
    for model in bodies():
        for name, described in model.model_json_schema()["properties"].items():
            kinds = {described.get("type"), *(each.get("type") for each in described.get("anyOf", []))}
            for value in (value for kind in kinds for value in ALMOST.get(kind, [])):
                asked += 1
                with pytest.raises(ValidationError) as refused:
                    model.model_validate({name: value})
                assert name in {error["loc"][0] for error in refused.value.errors()}, (model, name, value)
    assert asked >= 5, "a comment's step and auto_accept at least"


def test_generated_clients_read_well() -> None:
    """Short names, each once; what has few values says so."""
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z][a-z_]{2,24}", name) for name in ids), ids
    schemas = DESCRIPTION["components"]["schemas"]
    for schema, member in (
        *(("TaskOut", "stage"), ("ListedTask", "stage"), ("ReceiptOut", "stage"), ("PlanRef", "status")),
        *(("DocumentOut", "kind"), ("DocumentOut", "status"), ("AnswerOut", "outcome"), ("MessageOut", "placed")),
        *(("TaskOutcome", "outcome"),),
    ):
        assert len(schemas[schema]["properties"][member]["enum"]) > 1, (schema, member)
    wanted = {found["name"]: found["schema"] for found in DESCRIPTION["paths"]["/api/tasks"]["get"]["parameters"]}
    assert "-created" in wanted["sort"]["enum"] and set(wanted) >= {"q", "stage", "agent", "created_by", "since"}
    told = {
        found["name"]: found.get("description") for found in DESCRIPTION["paths"]["/api/tasks"]["get"]["parameters"]
    }
    assert "in review" in told["stage"] and "24h" in told["since"] and told["sort"] and told["created_by"]
    assert schemas["TaskOut"]["properties"]["next_retry_at"]["description"]


def test_an_event_is_told_apart_by_its_type() -> None:
    """In pages and in streams: each of Pavo's is a schema of its own, what has any other type is an agent's."""
    schemas = DESCRIPTION["components"]["schemas"]
    of_pavo = schemas["PavoEvent"]
    assert of_pavo["discriminator"]["propertyName"] == "type"
    assert set(of_pavo["discriminator"]["mapping"]) == PAVO_EVENT_TYPES
    assert [each["$ref"] for each in of_pavo["oneOf"]] == list(dict.fromkeys(each["$ref"] for each in of_pavo["oneOf"]))
    for name, reference in of_pavo["discriminator"]["mapping"].items():
        described = schemas[reference.rpartition("/")[2]]
        assert described["properties"]["type"]["const"] == name and {"seq", "type", "at"} <= set(described["required"])
        assert described["description"] and described["properties"]["seq"]["description"]
    either = [each["$ref"].rpartition("/")[2] for each in schemas["TaskEvent"]["anyOf"]]
    assert either == ["PavoEvent", "AgentEvent"], "in this order: generated clients take the first that fits"
    assert schemas["AgentEvent"]["additionalProperties"] is True
    reference = {"$ref": "#/components/schemas/TaskEvent"}
    assert schemas["TaskEventPage"]["properties"]["items"]["items"] == reference
    for path in ("/api/tasks/{task_id}/stream", "/tasks/{task_id}/stream"):
        text = DESCRIPTION["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
        [event, _, delta, superseded] = text["contentSchema"]["items"]["oneOf"]
        assert text["type"] == "string" and event["properties"]["data"]["contentSchema"] == reference
        names = [each["properties"]["event"]["const"] for each in (delta, superseded)]
        assert "$defs" not in str(text), "nothing refers to what is not there"
        assert names == ["delta", "superseded"] and "id" not in delta["properties"] | superseded["properties"]


def test_an_event_of_a_job_is_told_apart_by_its_type() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    mapping = schemas["KnownJobEvent"]["discriminator"]["mapping"]
    assert set(mapping) == JOB_EVENT_TYPES
    for name, reference in mapping.items():
        described = schemas[reference.rpartition("/")[2]]
        assert described["properties"]["type"]["const"] == name and {"seq", "type", "at"} <= set(described["required"])
        assert described["description"] and described["properties"]["seq"]["description"]
    either = [each["$ref"].rpartition("/")[2] for each in schemas["JobEvent"]["anyOf"]]
    assert either == ["KnownJobEvent", "LaterJobEvent"], "in this order: generated clients take the first that fits"
    reference = {"$ref": "#/components/schemas/JobEvent"}
    assert schemas["JobEventPage"]["properties"]["items"]["items"] == reference
    page = DESCRIPTION["paths"]["/api/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]["application/json"]
    assert page["schema"] == {"$ref": "#/components/schemas/JobEventPage"}
    stream = DESCRIPTION["paths"]["/api/jobs/{job_id}/stream"]["get"]["responses"]["200"]["content"]
    [event, *_] = stream["text/event-stream"]["schema"]["contentSchema"]["items"]["oneOf"]
    assert event["properties"]["data"]["contentSchema"] == reference
