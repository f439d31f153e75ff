"""Tokens of the model gateway, for the coding programs of attempts whose jobs want their models asked through Pavo."""

from typing import Final

from pavo.config import Settings
from pavo.errors import Conflict
from pavo.fleet.work.documents import execute_seconds
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.agents.tokens import AgentGrant
from pavo.jobs.sql import model_tokens
from pavo.kit.sql import Database
from pavo.llm.gateway.bearers import new_token
from pavo.protocol import fleet_pb2 as pb

MARGIN_SECONDS: Final = 600
"""That a token outlives its program's time."""
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class ModelTokens:
    """Belongs to one event loop.

    Args:
        url: of the gateway, as agents reach it; empty: nobody has said.
    """

    def __init__(self, database: Database, url: str) -> None:
        self._database, self._url = database, url

    async def give(self, grant: AgentGrant, held: HeldJob) -> pb.CredentialReply:
        """A token that is good for this attempt, as long as its program may run, and the gateway's URL.

        Raises:
            Conflict: the attempt does not hold its job, the job does not want that, or nobody has said where the
                gateway is.
            Unavailable: PostgreSQL is away.
        """
        if not self._url:
            raise Conflict(
                "Nobody has said where agents reach the model gateway.",
                field="purpose",
                remedy="Have the operator set PAVO_GATEWAY_MODELS_URL for `pavo gateway`.",
            )
        token = new_token()
        async with self._database.transaction() as session:
            options = await model_tokens.options_of(session, held)
            if options is None:
                raise gone()
            if options.get("gateway") is not True:
                raise Conflict(
                    "This job's models are not asked through Pavo.",
                    field="purpose",
                    remedy="Submit it so: pavo job submit --gateway",
                )
            seconds = execute_seconds(options) + MARGIN_SECONDS
            until = await model_tokens.add(session, token, held, grant.token_id, seconds)
        return pb.CredentialReply(password=token, base_url=self._url, expires_at_ms=int(until.timestamp() * 1_000))


def models_url(settings: Settings) -> str:
    """Where remote agents reach the model gateway; empty: nobody has said, and the API is not on this machine alone."""
    if settings.gateway.models_url:
        return settings.gateway.models_url.rstrip("/")
    host = settings.http.host
    if host not in _LOOPBACK or not settings.http.port:
        return ""
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port}/llm/v1"


def gone() -> Conflict:
    """Another attempt has the job, or it is over."""
    return Conflict(
        "The attempt does not hold its job any more: it gets no credentials.",
        field="epoch",
        remedy="End it, and push nothing.",
    )
