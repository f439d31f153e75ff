"""Problem details (RFC 9457): the one shape in which every error of the HTTP API is written."""

from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict

from pavo.errors import PavoError

ALWAYS: Final = (403, 408, 413, 414, 422, 431, 500)
"""What any request may be answered: the rules for web pages, the limits of what clients may send, and a fault. A body
counts also where none is read."""
PROBLEM_JSON = "application/problem+json"
"""The media type of problem details."""


class Problem(BaseModel):
    """What went wrong, and what to do about it. More members by `code`."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str
    """urn:pavo:error: and the code."""
    title: str
    """The kind of error, for people."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened this time, for people."""
    code: str
    """The kind of error, for programs: WrongStage, InvalidInput, …"""
    field: str = ""
    """What in the request is at fault, where one thing is."""
    remedy: str = ""
    """What to do."""


_ANSWERS: Final[dict[int, str]] = {
    400: "A value of the request is wrong.",
    401: "Nobody proved who they are, or the token opens nothing.",
    403: "A foreign web page is asking, the host name is not served, or only owners may do this.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The request did not come in time, as a whole.",
    409: "Right in itself, but not now: `code` tells why.",
    413: "The body, or a text in it, is too large.",
    414: "The address is too long.",
    416: "It has no such part: `Content-Range` tells its size.",
    422: "A value of the request is wrong: `field` names it.",
    431: "The headers are too long, or too many.",
    500: "A fault of Pavo's own; `request_id` finds it in the log.",
    503: "A dependency is away, or the API is overloaded: repeat it later.",
}
_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "Bearer", "required": True, "schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer"}}},
}


def schema_ref(name: str) -> dict[str, str]:
    """A reference to one of the description's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The description (OpenAPI) of an operation's errors, for `responses` of a route or router."""
    return {
        status: {
            "description": _ANSWERS[status],
            "content": {PROBLEM_JSON: {"schema": schema_ref(Problem.__name__)}},
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in statuses
    }


def problem(status: int, error: PavoError) -> dict[str, Any]:
    """The members of the problem: type, title, status, detail and code; field, remedy and extras where known."""
    members: dict[str, Any] = {
        "type": f"urn:pavo:error:{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
    }
    if error.field is not None:
        members["field"] = error.field
    if error.remedy is not None:
        members["remedy"] = error.remedy
    return {**error.extra, **members}


def problem_bytes(status: int, error: PavoError) -> bytes:
    """The problem as JSON, for code that answers below the web framework; unknown types are written as text."""
    return orjson.dumps(problem(status, error), default=str)
