"""The gateway's one use case: a request, by whoever shows an attempt's token, through the journal of models' calls."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pavo.agents.calling.completion import ModelAnswer, ModelRequest, checked_completion
from pavo.agents.calling.numbering import CallsUnderWay
from pavo.errors import AgentRefused, BadRequest, NotAuthenticated, Unavailable
from pavo.llm.calls import Caller, ModelCalls
from pavo.llm.gateway.bearers import PREFIX, Bearer, Bearers, Relayed
from pavo.llm.journal import Occurrence
from pavo.llm.telling import Both, ToldTries

REMEMBERED: Final = 10_000
"""Calls whose clients did not get their answers to the end."""


class GatewayService:
    """Belongs to the API's event loop.

    Args:
        kinds: whose tokens it knows.
    """

    def __init__(self, models: ModelCalls, kinds: Sequence[Bearers]) -> None:
        self._models = models
        self._kinds = kinds
        self._calls = CallsUnderWay(lambda _: None)
        self._cut: dict[tuple[bytes, str], None] = {}
        """Whose answer did not reach its client, by token and request: the same request is that call, made again."""

    async def bearer(self, token: str | None) -> tuple[Bearer, Bearers]:
        """Who shows this token, and of which kind that is.

        Raises:
            NotAuthenticated: nobody has it.
            Conflict: its attempt is over.
        """
        for kind in self._kinds if token is not None and token.startswith(PREFIX) else ():
            if (found := await kind.find(token or "")) is not None:
                if not found.is_good:
                    raise kind.over
                return found, kind
        remedy = "Use the token of ctx.gateway() as the API key."
        raise NotAuthenticated("This is no token of the gateway, or what it was for is gone.", remedy=remedy)

    async def complete(
        self,
        shown_by: tuple[Bearer, Bearers],
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
            shown_by: as `bearer` answers.
            key: names the call, as that of `ctx.complete`.
            again: it is the same call, made again by a client that got no answer.
            told: is told what the model says now.
            shown: whether viewers of the run see that too.

        Raises:
            BadRequest: this is no request.
            Conflict: the attempt is over.
            Unavailable: PostgreSQL is away.
        """
        (bearer, kind), request = shown_by, _request(body, endpoint, key)
        if (call := (bearer.hash, request.hash)) in self._cut:
            del self._cut[call]
            again = True
        if key is not None:
            request = replace(request, identity=f"gateway/{request.at(bearer.place, 1)}")
        occurrence = Occurrence(bearer.place, again)
        caller = Caller(bearer.subject, bearer.epoch, bearer.holds, bearer.payer, occurrence)
        relay = kind.relay(bearer, request.hash) if shown else None
        try:
            return await self._calls.run(self._seen(caller, request, told, relay))
        except Unavailable as error:
            if error.dependency == "lease":
                raise kind.over from error
            raise

    async def _seen(
        self, caller: Caller, request: ModelRequest, told: ToldTries | None, relay: Relayed | None
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
