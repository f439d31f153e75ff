"""Methods that the framework leaves out: HEAD of what can be read, and every method in the `Allow` of a 405."""

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from pavo.timeline.http import EventStream


def add_head(app: FastAPI) -> None:
    """Serve HEAD wherever GET is served, but for streams, which have no end. Called after the last route is added.

    The endpoint runs as for GET, and the server sends its headers alone (RFC 9110, section 9.3.2). HEAD is left out
    of the description, which would show everything twice.
    """
    for found in list(iter_route_contexts(app.routes)):
        readable = found.methods == {"GET"} and found.response_class is not EventStream
        if readable and found.path is not None and found.endpoint is not None:
            app.add_api_route(
                found.path, found.endpoint, methods=["HEAD"], include_in_schema=False, response_model=None
            )


def allowed(app: FastAPI, path: str) -> str:
    """The value of `Allow`: every method of this path, whichever route serves it."""
    here = (found for found in iter_route_contexts(app.routes) if found.path_regex.match(path))
    return ", ".join(sorted({method for found in here for method in found.methods or ()}))
