"""A call of a model from its request to its recorded answer: for the agents of a worker, and for the gateway."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, LiteralString

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.agents.calling.completion import CHANGED, ModelAnswer, ModelRequest, Spent
from pavo.config import LlmSettings, SealingSettings
from pavo.errors import NotFound, Unavailable
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.llm import journal
from pavo.llm.at_once import AtOnce
from pavo.llm.client import CallFailed, ClientLimits, ModelClient
from pavo.llm.journal import Asked, Claim, Next, Occurrence
from pavo.llm.model_endpoints import Endpoint, ModelEndpoints
from pavo.llm.named.service import EndpointService
from pavo.llm.permitted import FORBIDDEN, PermittedModels
from pavo.llm.retrying import Patience, ask_patiently
from pavo.llm.telling import Telling, ToldTries
from pavo.observe import metrics
from pavo.usage import budgets
from pavo.usage.budgets import Exhausted, Reservation
from pavo.usage.domain import NANOS, Call, Estimate, Payer, Spender, Used, money
from pavo.usage.estimating import estimate, used
from pavo.usage.prices import PriceTable
from pavo.usage.service import UsageService

logger = logging.getLogger(__name__)

RECORD_SECONDS: Final = 30.0
"""So long an answer is kept while PostgreSQL is away: asking for it again costs more."""
_RECORD_PAUSE: Final = 0.3
PAYMENT_REQUIRED: Final = 402
"""Status of what a budget does not allow."""

Holds = Callable[[AsyncSession, int], Awaitable[bool]]
"""Whether the attempt of this epoch is the newest; no other begins before the session commits."""


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom models are called: the subject, under an epoch of its lease."""

    subject: Subject
    epoch: int
    holds: Holds
    payer: Payer
    occurrence: Occurrence | None = None
    """Of a call by the gateway; `holds` lets one call of the subject at a time look for its number."""
    lease: LiteralString | None = None
    """`holds` as SQL, see `at_once.AtOnce`; None: each call takes the long way."""

    @property
    def spender(self) -> Spender:
        """Whose budgets it counts against."""
        return self.payer.under(self.epoch)


@dataclass(slots=True)
class _Running:
    """A call that this process asks."""

    caller: Caller
    """Whose it is: a newer attempt that makes the same call takes it over."""
    most: Estimate
    """What is reserved for it."""
    ended: asyncio.Future[None]
    telling: Telling = field(default_factory=Telling)
    """Whom the answer is told while it comes."""


Write = Callable[[AsyncSession, Caller], Awaitable[bool]]
"""Writes what came of a call; False: it is not this caller's any more."""


class ModelCalls:
    """Calls models for any subject. Belongs to one event loop."""

    def __init__(
        self,
        database: Database,
        settings: LlmSettings,
        prices: PriceTable | None = None,
        secrets: SecretService | None = None,
    ) -> None:
        self._database = database
        limits = ClientLimits(settings.connect_seconds, settings.silence_seconds)
        self._client = ModelClient(limits, settings.allowed_networks)
        self._patience = Patience(settings.tries, settings.seconds)
        secrets = secrets or SecretService(database, KeyRing.of(SealingSettings()))
        self._endpoints = ModelEndpoints(settings, EndpointService(database, secrets, settings))
        self._permitted = PermittedModels(settings.models)
        self._prices = prices or PriceTable()
        self.step_tokens = settings.step_tokens
        """After so many without a checkpoint nobody goes on without asking."""
        self._usage = UsageService(database)
        self._under_way: dict[uuid.UUID, _Running] = {}

    @property
    def currency(self) -> str:
        """That of the price table."""
        return self._prices.currency

    async def close(self) -> None:
        """Close the connections to models' servers."""
        await self._client.close()

    async def complete(self, caller: Caller, request: ModelRequest, told: ToldTries | None = None) -> ModelAnswer:
        """The answer that is recorded, or that the model gives now, which is recorded then.

        Args:
            told: is told what the model says now; of what is recorded nothing.

        Raises:
            Unavailable: the caller's attempt is over, or PostgreSQL is away.
        """
        try:
            endpoint = await self._endpoints.get(caller.subject.organisation_id, request.endpoint)
            asked = Asked(endpoint.name, _model(endpoint, request.body))
        except NotFound as error:  # an answer that is recorded needs no endpoint
            return await self._recorded(caller, request) or ModelAnswer(None, error.detail, error.remedy, refused=True)
        if (refusal := self._permitted.refusal(caller.payer, asked.model)) is not None:
            return await self._recorded(caller, request) or ModelAnswer(None, *refusal, True, FORBIDDEN)
        while True:
            claim, request = await self._claim(caller, request, asked)
            caller = replace(caller, occurrence=None)  # it has its number
            if claim.next is Next.UNDER_WAY:
                await self._joined(claim.id, caller, told)
                continue
            if claim.next is Next.OTHER:
                await self._ended(claim.id)
                continue
            if claim.next is not Next.ASK:
                return _known(request, claim, caller.payer)
            try:
                self._under_way[claim.id].telling.join(told)
                answer = await self._ask(request.body, Call(claim.id, asked.model), endpoint)
            finally:
                self._under_way.pop(claim.id).ended.set_result(None)
            if answer is not None:
                return answer

    async def spent(self, subject: Subject) -> Spent:
        """What all calls of a task took so far."""
        sums = await self._usage.of_task(subject.organisation_id, subject.id)
        tokens, currency = (sums.tokens_in, sums.tokens_out, sums.tokens_cached), self._prices.currency
        return Spent(sums.calls, *tokens, sums.cost / NANOS, currency, sums.unpriced, money(sums.cost, currency))

    async def _joined(self, call_id: uuid.UUID, caller: Caller, told: ToldTries | None) -> None:
        """Wait until a call of this process has ended, whose it was before."""
        if (running := self._under_way.get(call_id)) is not None:
            running.caller = caller
            running.telling.join(told)
            await asyncio.shield(running.ended)

    async def _ended(self, call_id: uuid.UUID) -> None:
        """Wait until a call of this process has ended, which stays whose it is."""
        if (running := self._under_way.get(call_id)) is not None:
            await asyncio.shield(running.ended)

    async def _ask(self, body: Mapping[str, Any], call: Call, endpoint: Endpoint) -> ModelAnswer | None:
        """The answer; None: tries were lost, and a budget does not suffice for another one."""
        begun, running = time.perf_counter(), self._under_way[call.id]
        most, told = running.most, running.telling
        try:
            sent, lost = {**body, "model": call.model}, partial(self._lose, call, most)
            answer = await ask_patiently(self._client, endpoint, sent, self._patience, told, lost)
        except _Exhausted:
            await self._write(call.id, partial(_write_failure, call, "A budget does not suffice.", None))
            return None
        except CallFailed as failed:
            metrics.MODEL_CALLS.add("refused" if failed.refused else "failed")
            lost_id = (new_id(), most) if failed.paid else None
            await self._write(call.id, partial(_write_failure, call, failed.detail, lost_id))
            return ModelAnswer(None, failed.detail, failed.remedy, failed.refused, failed.status)
        metrics.MODEL_CALLS.add("done")
        seconds = time.perf_counter() - begun
        metrics.MODEL_SECONDS.observe(seconds)
        taken = used(self._prices, call.model, body, answer, seconds)
        await self._record(call.id, partial(self._put_answer, call, answer, taken))
        budgets.tell_metrics(taken)
        return ModelAnswer(answer)

    async def _lose(self, call: Call, most: Estimate) -> None:
        """A try was cut, and may be paid for: it counts, and another one is made where the budgets suffice for it."""
        lost_id, fits = new_id(), True

        async def write(session: AsyncSession, caller: Caller) -> bool:
            nonlocal fits
            fits = await budgets.lose(session, caller.spender, call, most, lost_id)
            return True

        await self._write(call.id, write)
        if not fits:
            raise _Exhausted

    async def _claim(self, caller: Caller, request: ModelRequest, asked: Asked) -> tuple[Claim, ModelRequest]:
        """The call as it stands, and its request with its identity. Budgets reserve in the same transaction: where it
        answers ASK, the call is about to be paid for."""
        if (at_once := await self._begun(caller, request, asked)) is not None:
            return at_once, request
        begun: uuid.UUID | None = None
        try:
            async with self._database.transaction() as session:
                if not await caller.holds(session, caller.epoch):
                    raise over()
                claim, request = await self._claimed(session, caller, request, asked)
                if claim.next is Next.UNDER_WAY:
                    await budgets.follow(session, caller.spender, Call(claim.id, asked.model))
                if claim.next is Next.ASK:
                    claim, most = await self._reserved(session, caller, request, Call(claim.id, asked.model), claim)
                    if claim.next is Next.ASK:
                        begun = claim.id
                        self._begin(begun, caller, most)
            return claim, request
        except BaseException:
            if begun is not None:
                self._under_way.pop(begun).ended.set_result(None)
            raise

    async def _begun(self, caller: Caller, request: ModelRequest, asked: Asked) -> Claim | None:
        """The claim of a call that none made before, which is the usual one; None: it is another case."""
        if caller.lease is None or caller.occurrence is not None:
            return None
        call, at_once = Call(new_id(), asked.model), AtOnce(self._database.kept, caller.lease)
        most, begun = estimate(self._prices, call.model, request.body), False
        self._begin(call.id, caller, most)
        try:
            begun = await at_once.begin(caller.spender, request, asked, call, most, self._under_way)
        finally:
            if not begun:
                self._under_way.pop(call.id).ended.set_result(None)
        return Claim(Next.ASK, call.id) if begun else None

    def _begin(self, call_id: uuid.UUID, caller: Caller, most: Estimate) -> None:
        """Know of the call before others may see its row."""
        self._under_way[call_id] = _Running(caller, most, asyncio.get_running_loop().create_future())

    async def _claimed(
        self, session: AsyncSession, caller: Caller, request: ModelRequest, asked: Asked
    ) -> tuple[Claim, ModelRequest]:
        given, epoch, occurrence = caller.subject, caller.epoch, caller.occurrence
        if occurrence is None or request.key is not None:
            return await journal.claim(session, given, request, asked, epoch, self._under_way), request
        request = await journal.numbered(session, given, request, occurrence, epoch)
        claim = await journal.claim(session, given, request, asked, epoch, self._under_way)
        await journal.placed(session, claim.id, occurrence, request.identity, epoch)
        return claim, request

    async def _reserved(
        self, session: AsyncSession, caller: Caller, request: ModelRequest, call: Call, claim: Claim
    ) -> tuple[Claim, Estimate]:
        """The claim, EXHAUSTED where a budget does not suffice: then the call is as one that failed."""
        most = estimate(self._prices, call.model, request.body)
        currency, under_way = self._prices.currency, self._under_way
        found = await budgets.reserve(session, caller.spender, call, most, currency, under_way)
        if isinstance(found, Reservation):
            return claim, most
        await journal.fail(session, call.id, found.told, caller.epoch, exhausted=True)
        return replace(claim, next=Next.EXHAUSTED, exhausted=found), most

    async def _recorded(self, caller: Caller, request: ModelRequest) -> ModelAnswer | None:
        async with self._database.reading() as session:
            claim = await journal.recorded(session, caller.subject, request)
        return None if claim is None else ModelAnswer(claim.answer)

    async def _put_answer(self, call: Call, answer: Mapping[str, Any], taken: Used, caller: Caller) -> bool:
        if caller.lease is None:
            return await self._written(partial(_write_answer, call, answer, taken), caller)
        return await AtOnce(self._database.kept, caller.lease).settle(caller.spender, call, answer, taken)

    async def _write(self, call_id: uuid.UUID, write: Write) -> None:
        await self._record(call_id, partial(self._written, write))

    async def _written(self, write: Write, caller: Caller) -> bool:
        """Whether it is: in a transaction of its own, as long as the caller's attempt is the newest."""
        try:
            async with self._database.transaction() as session:
                if not await caller.holds(session, caller.epoch) or not await write(session, caller):
                    raise _Over
        except _Over:
            return False
        return True

    async def _record(self, call_id: uuid.UUID, put: Callable[[Caller], Awaitable[bool]]) -> None:
        """Write what came of a call, as soon as PostgreSQL takes it."""
        until = time.monotonic() + RECORD_SECONDS
        while True:
            try:
                kept = await put(self._under_way[call_id].caller)
                break
            except Unavailable:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(_RECORD_PAUSE)
        if not kept:
            raise over()


class _Over(Exception):
    pass


class _Exhausted(Exception):
    pass


async def _write_answer(
    call: Call, answer: Mapping[str, Any], taken: Used, session: AsyncSession, caller: Caller
) -> bool:
    """Record an answer, and settle what was reserved for it."""
    if not await journal.settle(session, call.id, answer, caller.epoch):
        return False
    await budgets.settle(session, caller.spender, call, taken)
    return True


async def _write_failure(
    call: Call, error: str, lost: tuple[uuid.UUID, Estimate] | None, session: AsyncSession, caller: Caller
) -> bool:
    """Record that there is no answer, and give back what was reserved; a try that may be paid for counts."""
    if not await journal.fail(session, call.id, error, caller.epoch):
        return False
    if lost is not None:
        await budgets.lose(session, caller.spender, call, lost[1], lost[0])
    await budgets.release(session, caller.spender, call)
    return True


def over() -> Unavailable:
    """Nobody waits for the answer any more."""
    return Unavailable("The attempt is over: a newer one may have begun.", dependency="lease")


def _model(endpoint: Endpoint, body: Mapping[str, Any]) -> str:
    model = body.get("model") or endpoint.model
    if not model:
        where = f"pavo endpoint set {endpoint.name} --model" if endpoint.is_own else "PAVO_LLM_MODEL"
        remedy = f'Set one ({where}), or give the request a "model".'
        raise NotFound("The request names no model, and its endpoint has none.", field="model", remedy=remedy)
    return model


def _known(request: ModelRequest, claim: Claim, payer: Payer) -> ModelAnswer:
    if claim.next is Next.RECORDED:
        return ModelAnswer(claim.answer)
    if claim.next is Next.CHANGED:
        told = f"complete(): key: {request.key!r} names a call with another request."
        return ModelAnswer(None, told, "Give each call a key of its own.", refused=True, status=CHANGED)
    if claim.exhausted is not None:
        return _exhausted(claim.exhausted, payer)
    raise over()


def _exhausted(found: Exhausted, payer: Payer) -> ModelAnswer:
    then = "resume the task" if payer.asks else f"queue the {payer.noun} again"
    told, remedy = found.told, f"Raise it, as by: pavo budget set. Then {then}."
    if payer.asks and found.question is None:
        told, remedy = f"{told} {found.stopped_by} said to stop.", "Resume the task to be asked again."
    return ModelAnswer(None, told, remedy, refused=True, status=PAYMENT_REQUIRED, asks=found.question)
