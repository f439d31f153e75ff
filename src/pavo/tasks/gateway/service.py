"""The gateway's one use case: a request, by whoever shows an attempt's token, through the journal of models' calls."""

from dataclasses import replace
from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.calling.completion import ModelAnswer, ModelRequest, checked_completion
from pavo.agents.calling.numbering import CallsUnderWay
from pavo.errors import AgentRefused, BadRequest, Conflict, NotAuthenticated, Unavailable
from pavo.kit.sql import Database
from pavo.llm.calls import Caller, ModelCalls
from pavo.llm.journal import Occurrence
from pavo.llm.telling import ToldTries
from pavo.tasks.gateway.relaying import Both, Relay
from pavo.tasks.sql import gateway_tokens, lease
from pavo.tasks.sql.gateway_tokens import Bearer
from pavo.timeline.publish import Publisher

REMEMBERED: Final = 10_000
"""Calls whose clients did not get their answers to the end."""


class GatewayService:
    """Belongs to the API's event loop."""

    def __init__(self, database: Database, models: ModelCalls, publisher: Publisher) -> None:
        self._publisher = publisher
        self._database = database
        self._models = models
        self._calls = CallsUnderWay(lambda _: None)
        self._cut: dict[tuple[bytes, str], None] = {}
        """Whose answer did not reach its client, by token and request: the same request is that call, made again."""

    async def bearer(self, token: str | None) -> Bearer:
        """Who shows this token.

        Raises:
            NotAuthenticated: nobody has it.
            Conflict: its attempt is over.
        """
        found: Bearer | None = None
        if token is not None and token.startswith(gateway_tokens.PREFIX):
            async with self._database.reading() as session:
                found = await gateway_tokens.find(session, token)
        if found is None:
            remedy = "Use the token of ctx.gateway() as the API key."
            raise NotAuthenticated("This is no token of the gateway, or its task is gone.", remedy=remedy)
        if not found.is_good:
            raise _over()
        return found

    async def complete(
        self,
        bearer: Bearer,
        body: Any,
        *,
        endpoint: str | None,
        key: str | None,
        again: bool,
        told: ToldTries | None = None,
        shown: bool = True,
    ) -> ModelAnswer:
        """What comes of a request. It goes on to its answer also where the client has gone.

        Args:
            key: names the call, as that of `ctx.complete`.
            again: it is the same call, made again by a client that got no answer.
            told: is told what the model says now.
            shown: whether viewers of the task see that too.

        Raises:
            BadRequest: this is no request.
            Conflict: the attempt is over.
            Unavailable: PostgreSQL is away.
        """
        request = _request(body, endpoint, key)
        if (call := (bearer.hash, request.hash)) in self._cut:
            del self._cut[call]
            again = True
        if key is not None:
            request = replace(request, identity=f"gateway/{request.at(bearer.place, 1)}")
        occurrence = Occurrence(bearer.place, again)
        caller = Caller(bearer.subject, bearer.epoch, partial(_holds, bearer), bearer.payer, occurrence)
        relay = Relay(self._publisher, bearer, request.hash) if shown else None
        try:
            return await self._calls.run(self._seen(caller, request, told, relay))
        except Unavailable as error:
            if error.dependency == "lease":
                raise _over() from error
            raise

    async def _seen(
        self, caller: Caller, request: ModelRequest, told: ToldTries | None, relay: Relay | None
    ) -> ModelAnswer:
        if relay is None:
            return await self._models.complete(caller, request, told)
        came = False
        try:
            answer = await self._models.complete(caller, request, relay if told is None else Both(told, relay))
            came = answer.value is not None
            return answer
        finally:
            relay.end(came=came)

    def cut(self, bearer: Bearer, body: Any, endpoint: str | None) -> None:
        """The client of this request did not get its answer to the end."""
        self._cut[bearer.hash, _request(body, endpoint, None).hash] = None
        if len(self._cut) > REMEMBERED:
            del self._cut[next(iter(self._cut))]


def _request(body: Any, endpoint: str | None, key: str | None) -> ModelRequest:
    try:
        return checked_completion(body, endpoint, key)
    except AgentRefused as error:
        raise BadRequest(error.detail, field=error.field, remedy=error.remedy) from error


async def _holds(bearer: Bearer, session: AsyncSession, epoch: int) -> bool:
    """One call of a token at a time: each looks for its number among the equal ones before it."""
    held = await lease.holds(session, bearer.subject.id, epoch, working=bearer.works)
    return held and await gateway_tokens.lock(session, bearer.hash, epoch)


def _over() -> Conflict:
    remedy = "End: the agent has begun again, with another token."
    return Conflict("The attempt that this token is of is over.", remedy=remedy)
