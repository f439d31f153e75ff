"""Which versions really run: each part is asked, for what a file says may have been replaced since.

Import this where it is needed: the clients take a second, which is not to be part of the time for an answer.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import httpx2
import psycopg
from redis.asyncio import Redis
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

from pavo.deploy.model.state import StackState
from pavo.temporal.client import connect_to

ASK_SECONDS = 5.0
"""For one part's answer; all are asked at once."""


async def running_versions(state: StackState) -> dict[str, str]:
    """By the name of each part; empty where it did not say. Pavo's own processes told theirs when they began."""
    addresses = state.environment
    asked: dict[str, Awaitable[str]] = {
        "postgres": _asked(lambda: _postgres(addresses["DATABASE_URL"])),
        "redis": _asked(lambda: _redis(addresses["REDIS_URL"])),
        "temporal": _asked(lambda: _temporal(addresses)),
    }
    if state.urls.temporal_ui:
        asked["temporal-ui"] = _asked(lambda: _temporal_ui(state.urls.temporal_ui))
    answers = await asyncio.gather(*asked.values())
    told = {part.name: part.version for part in state.parts if part.name not in asked}
    return {**dict(zip(asked, answers, strict=True)), **told}


async def _asked(ask: Callable[[], Awaitable[str]]) -> str:
    """The answer, or empty: a part that is away, or hangs, has a state that says so."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await ask()
    except Exception:  # noqa: BLE001 - clients of four kinds, each with errors of its own
        return ""


async def _postgres(url: str) -> str:
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=int(ASK_SECONDS)) as connection:
        row = await (await connection.execute("SHOW server_version")).fetchone()
    return str(row[0]).split()[0] if row else ""


async def _redis(url: str) -> str:
    redis = Redis.from_url(url, socket_connect_timeout=ASK_SECONDS, socket_timeout=ASK_SECONDS)
    try:
        told: Mapping[str, object] = await redis.info("server")
    finally:
        await redis.aclose()
    for name in ("valkey", "redis"):
        if f"{name}_version" in told:
            return f"{name} {told[f'{name}_version']}"
    return ""


async def _temporal(addresses: Mapping[str, str]) -> str:
    client = await connect_to(addresses)
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=timedelta(seconds=ASK_SECONDS))
    return info.server_version


async def _temporal_ui(url: str) -> str:
    async with httpx2.AsyncClient(timeout=ASK_SECONDS) as client:
        told = json.loads((await client.get(f"{url}/api/v1/settings")).text)
    return str(told.get("Version", ""))
