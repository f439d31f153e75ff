"""What agents ask apart from their stream: leases, and credentials."""

from typing import Any, Final

import grpc
from sqlalchemy.exc import DBAPIError

from pavo.errors import Forbidden, PavoError, Unavailable
from pavo.fleet.calls.credentials import Credentials
from pavo.fleet.sessions.greeting import attempt_of, running
from pavo.fleet.sessions.session import OpenSessions
from pavo.fleet.sessions.streams import Context, asking, kept_job
from pavo.jobs.agents import sessions
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.texts import make_storable

STATUS: Final = {"Forbidden": grpc.StatusCode.PERMISSION_DENIED, "Conflict": grpc.StatusCode.FAILED_PRECONDITION}


class Calls:
    """Belongs to one event loop."""

    def __init__(
        self, database: Database, tokens: AgentTokenService, credentials: Credentials, open_sessions: OpenSessions
    ) -> None:
        self._database, self._tokens, self._credentials, self._sessions = database, tokens, credentials, open_sessions

    async def renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewReply:
        """Prolong leases; an agent whose stream is dead keeps its jobs by it, and counts as away."""
        who = await asking(self._tokens, context)
        make_storable(request)
        held = running(request.jobs)
        try:
            async with self._database.transaction() as transaction:
                asked = await sessions.agent_named(transaction, who, request.agent)
                if asked is None:
                    sessions.check_name(who.grant, request.agent)
                    raise Forbidden("There is no agent of this name for this token.", field="agent")
                if held and not asked.same_program:
                    raise sessions.another_program()
                kept = await sessions.renew(transaction, asked.agent_id, held)
        except (PavoError, DBAPIError) as error:
            await refuse(context, error)
            raise
        session = self._sessions.of(asked.agent_id)
        for each in kept:
            if session is not None and each.holds:
                session.works_at(str(each.job_id), each.epoch)
        metrics.GATEWAY_RENEWALS.add(by=sum(each.holds for each in kept))
        return pb.RenewReply(jobs=[kept_job(each) for each in kept])

    async def credential(self, request: pb.CredentialRequest, context: Context) -> pb.CredentialReply:
        """What git or a forge is shown, for an attempt that holds its job."""
        who = await asking(self._tokens, context)
        held = attempt_of(request.job_id, request.epoch)
        try:
            if held is None:
                raise Forbidden("There is no such attempt.", field="job_id")
            return await self._credentials.of(who, held, request.purpose, request.host, request.branch)
        except (PavoError, DBAPIError) as error:
            metrics.GATEWAY_REFUSED.add(getattr(error, "code", "DBAPIError"))
            await refuse(context, error)
            raise


async def refuse(context: Any, error: Exception) -> None:
    """End a call with what went wrong, and its remedy."""
    if isinstance(error, Unavailable):
        await context.abort(grpc.StatusCode.UNAVAILABLE, error.detail)
    if isinstance(error, PavoError):
        told = f"{error.detail} {error.remedy or ''}".strip()
        await context.abort(STATUS.get(error.code, grpc.StatusCode.INVALID_ARGUMENT), told)
    await context.abort(grpc.StatusCode.INTERNAL, "The gateway failed; its log tells why.")
