"""Looks at open pull requests of jobs that are done, as long as there are any."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from pavo.errors import PavoError, Unavailable
from pavo.jobs.pull_requests import repository as sql
from pavo.jobs.pull_requests.looking import Looking
from pavo.jobs.pull_requests.repository import OpenPullRequest
from pavo.kit.sql import Database
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

MOST: Final = 50
"""In one round."""
AT_ONCE: Final = 4
SHORTEST: Final = 1.0
LONGEST: Final = 15.0
"""Seconds between two rounds: one without anything due is one look at an index."""
AWAY_SECONDS: Final = 60.0
"""Until a forge is asked again that is away, at least."""
REFUSED_SECONDS: Final = 3_600.0
"""Until a forge is asked again that refuses what is asked."""
LOOK_SECONDS: Final = 120.0
"""For one look, with all its requests: less than it is this worker's alone."""


class PullRequestPolling:
    """In every worker; each pull request is looked at by one of them at a time.

    Args:
        tell_queue: has the monitor of an organisation's queue look.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        looking: Looking,
        tell_queue: Callable[..., Awaitable[None]],
    ) -> None:
        self._database, self._publisher = database, publisher
        self._looking, self._tell_queue = looking, tell_queue

    async def run(self) -> None:
        """Without an end."""
        while True:
            pause = LONGEST
            try:
                pause = await self.round()
            except PavoError as error:
                logger.warning("Pull requests are looked at later: %s", error)
            except Exception:
                logger.exception("Pull requests are looked at later")
            await asyncio.sleep(min(max(pause, SHORTEST), LONGEST))

    async def round(self) -> float:
        """Look at those that are due; seconds until another one may be.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.transaction() as session:
            found = await sql.due(session, MOST)
        resting = set[tuple[object, str, str]]()
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(each: OpenPullRequest) -> None:
            async with turns:
                if (each.organisation_id, each.forge_url, _host(each.clone_url)) not in resting:
                    await self._look(each, resting)

        ended = await asyncio.gather(*(one(each) for each in found), return_exceptions=True)
        for error in ended:  # only now: a look that goes on beside the next round would belong to nobody
            if error is not None:
                raise error
        async with self._database.reading() as session:
            pause = await sql.seconds_until_next(session)
        return LONGEST if pause is None else pause

    async def _look(self, one: OpenPullRequest, resting: set[tuple[object, str, str]]) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                taken = await self._looking.look(one)
        except Unavailable as error:
            # It was asked too often, or is away: nothing else of the organisation's is asked there meanwhile.
            resting.add((one.organisation_id, one.forge_url, _host(one.clone_url)))
            await self._put_off(one, max(error.retry_after, AWAY_SECONDS), error)
            return
        except PavoError as error:
            async with self._database.transaction() as session:
                await sql.put_off_one(session, one, REFUSED_SECONDS)
            logger.warning("The pull request of job %s is looked at in an hour: %s", one.job_id, error)
            return
        except TimeoutError as error:
            await self._put_off(one, LOOK_SECONDS, error)
            return
        except Exception:  # of what a forge sends; the others of the round go on
            logger.exception("The pull request of job %s is looked at in an hour", one.job_id)
            async with self._database.transaction() as session:
                await sql.put_off_one(session, one, REFUSED_SECONDS)
            return
        async with self._database.transaction() as session:
            recorded = await sql.take(session, one, taken)
        if recorded:
            self._publisher.publish(recorded)
        if recorded is not None and taken.feedback:
            logger.info("Comments on its pull request have job %s go on", one.job_id)
            await self._tell_queue(one.organisation_id)

    async def _put_off(self, one: OpenPullRequest, seconds: float, error: Exception) -> None:
        async with self._database.transaction() as session:
            await sql.put_off(session, one, seconds)
        logger.warning("The forge of job %s is asked again in %d s: %s", one.job_id, seconds, error)


def _host(url: str) -> str:
    return url.split("/")[2] if url.count("/") > 2 else url
