"""Looks again and again whether the sessions of this gateway may go on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from pavo.errors import Unavailable
from pavo.fleet.sessions.session import DISPLACED, Ending, OpenSessions, Session
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import Standing
from pavo.jobs.leases.repository import NOTE_SECONDS, note_gateway
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""A revoked token ends its sessions within so long."""
NOTE_EVERY: Final = round(NOTE_SECONDS / LOOK_SECONDS)
"""Looks; then it is written that this gateway is there."""
SEEN_EVERY: Final = 7
"""Looks; then it is written that the streams live, well within `GONE_SECONDS`."""


async def watch(
    database: Database, open_sessions: OpenSessions, also: Callable[[], Awaitable[None]] | None = None
) -> None:
    """End what may not go on, until cancelled.

    Args:
        also: is looked at each time, too.
    """
    looks = 0
    while True:
        try:
            if looks % NOTE_EVERY == 0:
                async with database.transaction() as transaction:
                    await note_gateway(transaction)
        except Unavailable as error:
            logger.info("That this gateway is there is not written: %s", error)
        await asyncio.sleep(LOOK_SECONDS)
        looks += 1
        try:
            await look(database, open_sessions, write=looks % SEEN_EVERY == 0)
            if also is not None:
                await also()
        except Unavailable as error:
            logger.info("The sessions are not looked at: %s", error)


async def look(database: Database, open_sessions: OpenSessions, *, write: bool) -> None:
    """End what may not go on, once.

    Args:
        write: note that the others' streams live.
    """
    held = {(each.opened.agent_id, each.opened.number): each for each in open_sessions.all()}
    if not held:
        return
    async with database.reading() as reading:
        found = await sessions.standings(reading, [(each.opened, each.token_id) for each in held.values()])
    for standing in found:
        judge(held[(standing.agent_id, standing.number)], standing)
    if write:
        async with database.transaction() as transaction:
            await sessions.seen(transaction, [each.opened for each in held.values() if not each.is_over])


def judge(session: Session, standing: Standing) -> None:
    """End a session, or tell it what it does not know, by what its row says."""
    if not standing.allowed:
        session.end(Ending("The agent's token was revoked, or has expired.", "Start it with another one.", False))
    elif not standing.current:
        session.end(DISPLACED)
    elif not standing.online:
        session.end(Ending("This agent did not answer greetings, and counted as away.", come_back=True))
    elif not standing.drain_asked:
        session.drain_told = False
    elif not session.drain_told:
        session.drain_told = session.send(pb.ToAgent(drain=pb.Drain(reason="Somebody asked for it.")))
