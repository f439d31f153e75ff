"""A call of a model from its request to its recorded answer: for the agents of a worker, and for the gateway."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.calling.completion import ModelAnswer, ModelRequest
from pavo.config import LlmSettings
from pavo.errors import NotFound, Unavailable
from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.llm import journal
from pavo.llm.client import CallFailed, ClientLimits, ModelClient
from pavo.llm.journal import Asked, Claim, Next, Occurrence
from pavo.llm.model_endpoints import Endpoint, ModelEndpoints
from pavo.llm.retrying import Patience, ToldTries, ask_patiently
from pavo.observe import metrics

logger = logging.getLogger(__name__)

RECORD_SECONDS: Final = 30.0
"""So long an answer is kept while PostgreSQL is away: asking for it again costs more."""
_RECORD_PAUSE: Final = 0.3

Holds = Callable[[AsyncSession, int], Awaitable[bool]]
"""Whether the attempt of this epoch is the newest; no other begins before the session commits."""


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom models are called: the subject, under an epoch of its lease."""

    subject: Subject
    epoch: int
    holds: Holds
    occurrence: Occurrence | None = None
    """Of a call by the gateway; `holds` lets one call of the subject at a time look for its number."""


@dataclass(slots=True)
class _Running:
    """A call that this process asks."""

    caller: Caller
    """Whose it is: a newer attempt that makes the same call takes it over."""
    ended: asyncio.Future[None]


class ModelCalls:
    """Calls models for any subject. Belongs to one event loop."""

    def __init__(self, database: Database, settings: LlmSettings) -> None:
        self._database = database
        self._client = ModelClient(ClientLimits(settings.connect_seconds, settings.silence_seconds))
        self._patience = Patience(settings.tries, settings.seconds)
        self._endpoints = ModelEndpoints(settings)
        self._under_way: dict[uuid.UUID, _Running] = {}

    async def close(self) -> None:
        """Close the connections to models' servers."""
        await self._client.close()

    async def complete(self, caller: Caller, request: ModelRequest, told: ToldTries | None = None) -> ModelAnswer:
        """The answer that is recorded, or that the model gives now, which is recorded then.

        Raises:
            Unavailable: the caller's attempt is over, or PostgreSQL is away.
        """
        try:
            endpoint = self._endpoints.get(request.endpoint)
            asked = Asked(endpoint.name, _model(endpoint, request.body))
        except NotFound as error:  # an answer that is recorded needs no endpoint
            return await self._recorded(caller, request) or ModelAnswer(None, error.detail, error.remedy, refused=True)
        while (claim := await self._claim(caller, request, asked)).next is Next.UNDER_WAY:
            if (running := self._under_way.get(claim.id)) is not None:
                running.caller = caller
                await asyncio.shield(running.ended)
        if claim.next is not Next.ASK:
            return _known(request, claim)
        try:
            return await self._ask(request.body, claim.id, endpoint, asked.model, told)
        finally:
            self._under_way.pop(claim.id).ended.set_result(None)

    async def _ask(
        self, body: Mapping[str, Any], call_id: uuid.UUID, endpoint: Endpoint, model: str, told: ToldTries | None
    ) -> ModelAnswer:
        begun = time.perf_counter()
        try:
            answer = await ask_patiently(self._client, endpoint, {**body, "model": model}, self._patience, told)
        except CallFailed as failed:
            metrics.MODEL_CALLS.add("refused" if failed.refused else "failed")
            await self._record(call_id, partial(journal.fail, call_id=call_id, error=failed.detail))
            return ModelAnswer(None, failed.detail, failed.remedy, failed.refused, failed.status)
        metrics.MODEL_CALLS.add("done")
        metrics.MODEL_SECONDS.observe(time.perf_counter() - begun)
        await self._record(call_id, partial(journal.settle, call_id=call_id, answer=answer))
        return ModelAnswer(answer)

    async def _claim(self, caller: Caller, request: ModelRequest, asked: Asked) -> Claim:
        """A budget reserves here, in this transaction: where it answers ASK, the call is about to be paid for."""
        begun: uuid.UUID | None = None
        try:
            async with self._database.transaction() as session:
                if not await caller.holds(session, caller.epoch):
                    raise over()
                claim = await self._claimed(session, caller, request, asked)
                if claim.next is Next.ASK:  # before others may see the row
                    begun = claim.id
                    self._under_way[begun] = _Running(caller, asyncio.get_running_loop().create_future())
            return claim
        except BaseException:
            if begun is not None:
                self._under_way.pop(begun).ended.set_result(None)
            raise

    async def _claimed(self, session: AsyncSession, caller: Caller, request: ModelRequest, asked: Asked) -> Claim:
        given, epoch, occurrence = caller.subject, caller.epoch, caller.occurrence
        if occurrence is None or request.key is not None:
            return await journal.claim(session, given, request, asked, epoch, self._under_way)
        request = await journal.numbered(session, given, request, occurrence, epoch)
        claim = await journal.claim(session, given, request, asked, epoch, self._under_way)
        await journal.placed(session, claim.id, occurrence, request.identity, epoch)
        return claim

    async def _recorded(self, caller: Caller, request: ModelRequest) -> ModelAnswer | None:
        async with self._database.reading() as session:
            claim = await journal.recorded(session, caller.subject, request)
        return None if claim is None else ModelAnswer(claim.answer)

    async def _record(self, call_id: uuid.UUID, write: Callable[..., Coroutine[Any, Any, bool]]) -> None:
        """Write what came of a call, as soon as PostgreSQL takes it. A budget settles here, in this transaction."""
        until = time.monotonic() + RECORD_SECONDS
        while True:
            caller = self._under_way[call_id].caller
            try:
                async with self._database.transaction() as session:
                    held = await caller.holds(session, caller.epoch)
                    if not held or not await write(session, epoch=caller.epoch):
                        raise _Over
                return
            except _Over:
                raise over() from None
            except Unavailable:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(_RECORD_PAUSE)


class _Over(Exception):
    pass


def over() -> Unavailable:
    """Nobody waits for the answer any more."""
    return Unavailable("The attempt is over: a newer one may have begun.", dependency="lease")


def _model(endpoint: Endpoint, body: Mapping[str, Any]) -> str:
    model = body.get("model") or endpoint.model
    if not model:
        remedy = 'Set PAVO_LLM_MODEL, or give the request a "model".'
        raise NotFound("The request names no model, and its endpoint has none.", field="model", remedy=remedy)
    return model


def _known(request: ModelRequest, claim: Claim) -> ModelAnswer:
    if claim.next is Next.RECORDED:
        return ModelAnswer(claim.answer)
    if claim.next is Next.CHANGED:
        told = f"complete(): key: {request.key!r} names a call with another request."
        return ModelAnswer(None, told, "Give each call a key of its own.", refused=True)
    raise over()
