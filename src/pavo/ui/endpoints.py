"""The web page at `/`: static package data, served with headers that let nothing foreign run."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from pavo.accounts.dependencies import Caller
from pavo.errors import NotFound
from pavo.ui.dependencies import TheSettings

router = APIRouter(include_in_schema=False)

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served, by suffix; a file of another kind is not part of the page."""

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked again each time, answered 304: a page never runs with modules of another version.
    "Cache-Control": "no-cache",
}


class Links(BaseModel):
    """Other pages that know about a task."""

    workflows: str | None
    """Temporal's own UI: the workflow's id follows after a slash."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    body: bytes
    media_type: str
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of the page by name, read once. A fixed set of names: no path of a request reaches the disk."""
    found: dict[str, Asset] = {}
    for entry in (resources.files("pavo.ui") / "static").iterdir():
        media_type = MEDIA_TYPES.get(entry.name[entry.name.rfind(".") :])
        if media_type is not None:
            body = entry.read_bytes()
            found[entry.name] = Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return _serve(request, "index.html")


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def favicon(request: Request) -> Response:
    """Browsers ask for it unasked, also when they show the API's JSON."""
    return _serve(request, "favicon.svg")


@router.get("/ui/links.json")
async def links(settings: TheSettings, who: Caller) -> Links:
    """Where else to look; for those who are logged in."""
    address = settings.http.temporal_ui
    namespace = settings.temporal.namespace or "default"
    return Links(workflows=f"{address.rstrip('/')}/namespaces/{namespace}/workflows" if address else None)


@router.api_route("/ui/{name}", methods=["GET", "HEAD"])
async def asset(request: Request, name: str) -> Response:
    """A module, the style sheet, the icon."""
    return _serve(request, name)


def _serve(request: Request, name: str) -> Response:
    found = assets().get(name)
    if found is None:
        raise NotFound(f"There is no file {name!r} of the page.", remedy="Open / instead.")
    headers = HEADERS | {"ETag": found.etag}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
