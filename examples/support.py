"""What the demos share: the HTTP API, and waiting for something."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx2

LIMIT_SECONDS = 120.0
Found = TypeVar("Found")


class Api:
    """The HTTP API, as its user of the demo sees it."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, timeout=30, headers={"X-Pavo-User": "demo@example.com"})
        self.org = self.get("/api/organisations")["items"][0]["id"]

    def get(self, path: str) -> Any:
        """A document."""
        return self._said(self._client.get(path))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What was made."""
        return self._said(self._client.post(path, json=body))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """What was changed."""
        return self._said(self._client.patch(path, json=body))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """What was set."""
        return self._said(self._client.put(path, json=body))

    def _said(self, response: httpx2.Response) -> Any:
        if response.is_error:
            request = response.request
            raise SystemExit(f"{request.method} {request.url}: {response.status_code} {response.text}")
        return response.json() if response.content else None


def until(what: str, look: Callable[[], Found | None], seconds: float = LIMIT_SECONDS) -> Found:
    """What `look` finds at last."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        time.sleep(0.1)
    raise SystemExit(f"No {what} within {seconds:.0f} s.")
