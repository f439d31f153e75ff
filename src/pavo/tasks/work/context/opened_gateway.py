"""The gateway as a task's agent is handed it: a token for its attempt, made when it is first asked for."""

import asyncio
from collections.abc import Awaitable, Callable

from pavo.agents.calling.gateway import Gateway
from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.llm.calls import over
from pavo.llm.gateway.bearers import hash_of, new_token
from pavo.tasks.sql import gateway_tokens, lease
from pavo.tasks.work.context.held_epoch import HeldEpoch


class TaskGateway:
    """See `agents.calling.gateway.Gateways`; belongs to the agents' loop.

    Args:
        place: what is under way, where it is no checkpoint.
        hear: has viewers shown what models say to whoever has the token of this hash, while its answer is kept.
    """

    def __init__(
        self,
        database: Database,
        base_url: str,
        subject: Subject,
        held: HeldEpoch,
        place: str | None,
        hear: Callable[[bytes], Awaitable[object]] | None = None,
    ) -> None:
        self._database = database
        self._base_url = base_url
        self._subject = subject
        self._held = held
        self._place = place
        self._making = asyncio.Lock()
        self._token: str | None = None
        self._hear = hear
        self._heard: object = None

    async def gateway(self) -> Gateway:
        """The gateway."""
        async with self._making:
            if self._token is None:
                token, epoch = new_token(), self._held.epoch
                async with self._database.transaction() as session:
                    if not await lease.holds(session, self._subject.id, epoch):
                        raise over()
                    await gateway_tokens.add(session, token, self._subject, epoch, self._place)
                if self._hear is not None:
                    self._heard = await self._hear(hash_of(token))
                self._token = token
                self._held.followers.append(self._follow)
        return Gateway(self._base_url, self._token)

    async def _follow(self, epoch: int) -> None:
        """The agent goes on in another attempt, and what it runs has the token already."""
        assert self._token is not None
        async with self._database.transaction() as session:
            if await lease.holds(session, self._subject.id, epoch):
                await gateway_tokens.follow(session, self._token, epoch)
