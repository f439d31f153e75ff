"""The leases of the jobs that this agent has, renewed apart from the stream."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from pavo.protocol import fleet_pb2 as pb
from pavo.remote.connection import Gateway
from pavo.remote.diagnosis import NotConnected
from pavo.remote.dispatch import Dispatcher
from pavo.remote.journal import Attempt

logger = logging.getLogger(__name__)


async def keep_leases(
    gateway: Gateway, dispatcher: Dispatcher, agent: str, session: Callable[[], int], seconds: float
) -> None:
    """Renew them, until cancelled. One that is lost ends the work at its job.

    A gateway that is not reached ends nothing: what is at work goes on, and cannot be pushed before a gateway has said
    that the attempt holds its job.

    Args:
        agent: its name.
        session: the number of its newest session; 0: it had none since it began, so that no gateway knows it yet.
        seconds: between two times.
    """
    while True:
        try:
            if number := session():
                await renew(gateway, dispatcher, agent, number)
        except NotConnected as error:
            logger.warning("The leases of jobs are not renewed: %s", error.detail)
        except sqlite3.Error as error:
            logger.warning("The journal cannot be used, so leases may not be renewed: %s", error)
        await asyncio.sleep(seconds)


async def renew(gateway: Gateway, dispatcher: Dispatcher, agent: str, session: int) -> None:
    """Renew all leases once.

    Raises:
        NotConnected: no gateway answers.
    """
    held = await dispatcher.held()
    if not held:
        return
    reply = await gateway.renew(pb.RenewRequest(agent=agent, session=session, jobs=held))
    for kept in reply.jobs:
        if not kept.yours:
            await dispatcher.lose(Attempt(kept.job_id, kept.epoch))
