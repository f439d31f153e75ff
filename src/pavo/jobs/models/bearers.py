"""Tokens of the model gateway that attempts at jobs have: see `llm.gateway.bearers`."""

from pavo.errors import Conflict
from pavo.jobs.sql import model_tokens
from pavo.kit.sql import Database
from pavo.llm.gateway.bearers import Bearer


class JobBearers:
    """Nobody watches what models say to coding programs: these print it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def over(self) -> Conflict:
        """The attempt has lost its job, or ended, or its agent was revoked."""
        remedy = "End: the job is over, or another attempt has it."
        return Conflict("The attempt that this token is of is over.", remedy=remedy)

    async def find(self, token: str) -> Bearer | None:
        """Whose the token is."""
        async with self._database.reading() as session:
            return await model_tokens.find(session, token)

    def relay(self, bearer: Bearer, request_hash: str) -> None:
        """Nobody."""
