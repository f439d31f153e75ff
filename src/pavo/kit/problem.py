"""Problem details (RFC 9457): the one shape in which every error of the HTTP API is written."""

from typing import Any

import orjson

from pavo.errors import PavoError

PROBLEM_JSON = "application/problem+json"
"""The media type of problem details."""


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
