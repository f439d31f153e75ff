"""The API's description of itself (OpenAPI), where the framework's own would contradict what is answered.

Which errors an operation has stands at its route (`kit.problem.problems`); here is what holds for all of them.
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from pavo.accounts.origin import SESSION_COOKIE
from pavo.kit.problem import Problem

EXISTING_FRONTENDS: Final = "existing frontends"
"""The tag of the routes of the replaced system."""

SECURITY: Final = {
    "bearerToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token: `pavo token create EMAIL`. With PAVO_AUTH=dev none is needed: X-User-Email or "
        "X-User-Id says who is asking.",
    },
    "sessionCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "What POST /api/session sets. A write by cookie must come from a page of an allowed origin.",
    },
}
_FRAMEWORKS_ERRORS: Final = ("HTTPValidationError", "ValidationError")
"""Schemas of the errors that FastAPI would answer; these are problems here."""


def operation_id(route: APIRoute) -> str:
    """The name that generated clients give an operation: its function's, with a prefix for the existing frontends.

    The framework's own would repeat path and method in each.
    """
    old = EXISTING_FRONTENDS in route.tags
    return f"legacy_{route.name.removesuffix('_task')}" if old else route.name


def describe(app: FastAPI) -> None:
    """Complete the description that `/openapi.json` and `/docs` show. Called after the last route is added."""
    generate = app.openapi

    def completed() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(generate())
        return app.openapi_schema

    app.openapi = completed


def _completed(description: dict[str, Any]) -> dict[str, Any]:
    components = description["components"]
    schemas = {**components["schemas"], "Problem": Problem.model_json_schema()}
    for name in _FRAMEWORKS_ERRORS:
        schemas.pop(name, None)
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = SECURITY
    for item in description["paths"].values():
        for operation in item.values():
            _complete(operation)
    return description


def _complete(operation: dict[str, Any]) -> None:
    """Whoever may be answered 401 can prove who they are. A route that asks nobody says `security: []` itself, one
    that also answers the unknown `security: [{}]`."""
    operation["responses"] = dict(sorted(operation["responses"].items()))
    own = operation.get("security")
    if "401" in operation["responses"] and own != []:
        operation["security"] = [*(own or []), *({name: []} for name in SECURITY)]
