"""How the API process is: whether it lives, what it depends on, what it counts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from pavo.bootstrap import ApiParts
from pavo.errors import PavoError
from pavo.kit.problem import problems
from pavo.observe.scrape import CONTENT_TYPE
from pavo.temporal.failures import translated as temporal_errors

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"])
metrics_router = APIRouter(tags=["health"])
"""Included where the metrics have no listener of their own."""

ANSWER_SECONDS: Final = 2.0
FIRST_PAUSE_SECONDS: Final = 0.25
MAX_PAUSE_SECONDS: Final = 5.0
OK: Final = "ok"


class Alive(BaseModel):
    """The process answers."""

    ok: bool


class Readiness(BaseModel):
    """Whether the API can do its work; each member is `ok`, or tells what is the matter."""

    ready: bool
    postgres: str
    redis: str
    """May be away: streams then read PostgreSQL."""
    temporal: str
    reconciled: str
    """Whether rows and workflows have been compared since the process began."""


_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": Readiness, **problems(503)[503], "description": "A dependency is away, or the API is overloaded."}
}


class FirstReconciliation:
    """Before the first `/readyz`: a stack that lost data in a power cut says so instead of showing ghosts.

    Args:
        reconcile: compares once.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        reconcile: Callable[[], Awaitable[object]],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._reconcile, self._sleep = reconcile, sleep
        self.state = "under way"
        """`ok` once it has succeeded; until then what is the matter."""

    async def run(self) -> None:
        """Try until it succeeds, with growing pauses: whatever is wrong may be mended while the process runs."""
        pause = FIRST_PAUSE_SECONDS
        while not await self._succeeds():
            await self._sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _succeeds(self) -> bool:
        try:
            await self._reconcile()
        except PavoError as error:
            self.state = f"not yet: {told(error)}"
            logger.warning("Cannot reconcile yet: %s", told(error))
            return False
        except Exception as error:
            self.state = f"not yet: {told(error)}"
            logger.exception("Cannot reconcile yet")
            return False
        self.state = OK
        return True


async def _parts(request: Request) -> ApiParts:
    """What `api.create_app` put on the application."""
    parts: ApiParts = request.app.state.parts
    return parts


async def _reconciliation(request: Request) -> FirstReconciliation:
    reconciliation: FirstReconciliation = request.app.state.reconciliation
    return reconciliation


TheParts = Annotated[ApiParts, Depends(_parts)]
TheReconciliation = Annotated[FirstReconciliation, Depends(_reconciliation)]


def told(error: Exception) -> str:
    """An error in one line, with the remedy where there is one."""
    remedy = f" {error.remedy}" if isinstance(error, PavoError) and error.remedy else ""
    return f"{type(error).__name__}: {error}{remedy}"


@router.get("/healthz")
async def healthz() -> Alive:
    """The process answers."""
    return Alive(ok=True)


@router.get("/readyz", responses=_NOT_READY)
async def readyz(parts: TheParts, reconciliation: TheReconciliation, response: Response) -> Readiness:
    """Whether each dependency answers. Redis may be away: streams then read PostgreSQL."""
    postgres, redis, temporal = await asyncio.gather(
        _answer(_ask_postgres(parts)), _answer(_ask_redis(parts)), _answer(_ask_temporal(parts))
    )
    ready = postgres == temporal == reconciliation.state == OK
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return Readiness(ready=ready, postgres=postgres, redis=redis, temporal=temporal, reconciled=reconciliation.state)


@metrics_router.get("/metrics", response_class=PlainTextResponse)
async def metrics(parts: TheParts) -> Response:
    """Prometheus' page: this process, its part of Temporal's SDK, runs by kind and stage, the task queues' backlogs."""
    return Response(await parts.scrape.text(), headers={"Content-Type": CONTENT_TYPE})


async def _ask_postgres(parts: ApiParts) -> None:
    """A server that only reads is not enough: it must have space to write."""
    await parts.database.check_space()


async def _ask_redis(parts: ApiParts) -> None:
    await parts.redis.ping()  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]


async def _ask_temporal(parts: ApiParts) -> None:
    """A server that answers is not enough: it must have the namespace."""
    request = DescribeNamespaceRequest(namespace=parts.temporal.namespace)
    with temporal_errors():
        await parts.temporal.workflow_service.describe_namespace(request, timeout=timedelta(seconds=ANSWER_SECONDS))


async def _answer(question: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await question
    except Exception as error:  # noqa: BLE001 - a health check reports whatever is wrong
        return f"away: {told(error)}"
    return OK
