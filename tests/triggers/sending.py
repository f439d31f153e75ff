"""Triggers as a person has them, and senders of their messages, for tests."""

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from pavo.webhooks.domain import Claimed
from pavo.webhooks.domain import headers as signed_headers
from tests.driving import until

TASK: Mapping[str, Any] = {
    "task": {"title": "About ${{ body.issue.title }}", "auto_accept": True, "agent_options": {"steps": 1}}
}
"""One that is over within a moment."""
NAP = "flow: nap\ninputs: {long: {type: string, default: 1ms}}\nsteps: {a: {sleep: '${{ inputs.long }}'}}"
BODY = {"issue": {"title": "A leak", "number": 7}, "action": "opened"}


def signed(secret: str, body: bytes, message_id: str = "", ago: float = 0) -> dict[str, str]:
    """What Pavo's own webhooks send along."""
    message = Claimed(uuid.UUID(message_id) if message_id else uuid.uuid4(), uuid.uuid4(), 1, "", [secret], body)
    return signed_headers(message, int(time.time() - ago))


def hub_signed(secret: str, body: bytes) -> dict[str, str]:
    """What GitHub sends along."""
    found = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={found}", "X-GitHub-Event": "issues"}


class Triggers:
    """One user's."""

    def __init__(self, client: httpx2.AsyncClient, stack: str) -> None:
        self.client, self.stack = client, stack

    async def ask(self, method: str, path: str = "", *, status: int = 200, **request: Any) -> Any:
        answer = await self.client.request(method, f"/api/triggers{path}", **request)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def create(self, *, status: int = 201, **values: Any) -> Any:
        wanted = {"name": f"t-{uuid.uuid4().hex[:8]}", "starts": TASK, **values}
        return await self.ask("POST", status=status, json=wanted)

    async def send(
        self,
        trigger: Any,
        body: Any = BODY,
        *,
        status: int = 202,
        sign: Any = signed,
        secret: str = "",
        headers: Any = None,
        **more: Any,
    ) -> Any:
        """As a stranger without an account."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx2.AsyncClient(base_url=self.stack, timeout=30) as stranger:
            found = sign(secret or trigger["secret"], data, **more) if headers is None else headers
            answer = await stranger.post(f"/api/triggers/{trigger['id']}", content=data, headers=found)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    async def firings(self, trigger_id: str) -> list[Any]:
        """The oldest first."""
        return [*reversed((await self.ask("GET", f"/{trigger_id}/firings", params={"limit": 200}))["items"])]

    async def until(self, trigger_id: str, holds: Callable[[list[Any]], bool]) -> list[Any]:
        """Its firings, once this holds of them."""
        found = list[Any]()

        async def look() -> bool:
            nonlocal found
            found = await self.firings(trigger_id)
            return holds(found)

        await until(look, what=f"the firings of {trigger_id}")
        return found

    async def publish(self, text: str = NAP) -> None:
        answer = await self.client.post("/api/flows", json={"text": text})
        assert answer.status_code in (200, 201), answer.text


@asynccontextmanager
async def somebody(stack: str) -> AsyncGenerator[Triggers]:
    """A new user."""
    headers_ = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers_, timeout=30) as client:
        yield Triggers(client, stack)
