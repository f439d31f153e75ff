"""People who publish flows and run them."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Person:
    """Somebody in an organisation of their own."""

    client: httpx2.AsyncClient
    organisation_id: uuid.UUID

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        return await self.send("GET", path, status, params=params or None)

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        return await self.send("POST", path, status, json=body)

    async def send(self, method: str, path: str, status: int = 200, **request: Any) -> Any:
        answer = await self.client.request(method, f"/api{path}", **request)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None


@asynccontextmanager
async def somebody(stack: str) -> AsyncGenerator[Person]:
    headers = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=60) as client:
        session = (await client.get("/api/session")).json()
        yield Person(client, uuid.UUID(session["organisation_id"]))
