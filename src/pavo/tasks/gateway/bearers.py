"""Tokens of the gateway that attempts at tasks have."""

from pavo.errors import Conflict
from pavo.kit.sql import Database
from pavo.llm.gateway.bearers import Bearer
from pavo.tasks.gateway.relaying import Relay
from pavo.tasks.sql import gateway_tokens
from pavo.timeline.publish import Publisher


class TaskBearers:
    """See `llm.gateway.bearers.Bearers`."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database, self._publisher = database, publisher

    @property
    def over(self) -> Conflict:
        """The attempt is over."""
        remedy = "End: the agent has begun again, with another token."
        return Conflict("The attempt that this token is of is over.", remedy=remedy)

    async def find(self, token: str) -> Bearer | None:
        """Whose the token is."""
        async with self._database.reading() as session:
            return await gateway_tokens.find(session, token)

    def relay(self, bearer: Bearer, request_hash: str) -> Relay:
        """By Redis to the worker, which shows it."""
        return Relay(self._publisher, bearer, request_hash)
