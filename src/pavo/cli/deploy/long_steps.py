"""What a rollout tells and does about runs that are in a long step."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from pavo.bootstrap import SLICES, build_database, build_redis
from pavo.config import Settings
from pavo.deploy.model.progress import Say
from pavo.deploy.rollout.draining import LongSteps


@asynccontextmanager
async def long_steps_of(settings: Settings, say: Say, *, end: bool = False) -> AsyncGenerator[LongSteps]:
    """With clients of its own, which connect when there is something to tell."""
    async with AsyncExitStack() as closing:
        database, redis = build_database(settings), build_redis(settings)
        closing.push_async_callback(database.close)
        closing.push_async_callback(redis.aclose)
        yield LongSteps([each.KIND for each in SLICES], database, redis, say, end=end)
