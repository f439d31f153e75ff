"""A Restate service: each step is journalled."""

import asyncio
import sys

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

bench = restate.Service("bench")


async def _step() -> int:
    return 0


@bench.handler()
async def run(ctx: restate.Context, steps: int) -> int:
    """Do the empty steps, one after the other, each durable before the next."""
    for number in range(steps):
        await ctx.run_typed(f"step-{number}", _step)
    return steps


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    asyncio.run(serve(restate.app([bench]), config))
