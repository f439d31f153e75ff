"""From an answer of the API that tells of an error to the error itself."""

from typing import Any

import httpx2

from pavo import errors
from pavo.errors import NotFound, PavoError, Unavailable


def error_of(response: httpx2.Response) -> PavoError:
    """The `PavoError` that problem details (RFC 9457) name; from any other answer, one of the kind of its status."""
    found = _problem(response)
    detail = str(found.pop("detail", None) or f"HTTP {response.status_code} {response.reason_phrase}")
    code, remedy, field = found.pop("code", None), found.pop("remedy", None), found.pop("field", None)
    kind = _kinds().get(str(code)) or _kind_of_status(response.status_code)
    extra = {name: value for name, value in found.items() if name not in ("type", "title", "status", "instance")}
    if issubclass(kind, Unavailable):
        retry_after = response.headers.get("Retry-After", "1")
        dependency = str(extra.pop("dependency", "api"))
        error: PavoError = kind(
            detail, dependency=dependency, retry_after=int(retry_after) if retry_after.isdigit() else 1, **extra
        )
        error.remedy = remedy or error.remedy
        return error
    return kind(detail, field=field, remedy=remedy, **extra)


def _problem(response: httpx2.Response) -> dict[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        found: object = response.json()
    except ValueError:  # cut off in the middle
        return {}
    return dict(found) if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _kinds() -> dict[str, type[PavoError]]:
    return {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PavoError)}


def _kind_of_status(status: int) -> type[PavoError]:
    if status in (502, 503, 504):
        return Unavailable
    return {401: errors.NotAuthenticated, 403: errors.Forbidden, 404: NotFound, 409: errors.Conflict}.get(
        status, PavoError
    )
