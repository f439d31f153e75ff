"""Full collections are seldom, and old garbage goes nevertheless."""

import asyncio
import gc
import weakref

from pavo.kit.listening.garbage import MIDDLE, YOUNG, collect_seldom
from tests.driving import until


class Circle:
    """Goes with a collection alone."""

    def __init__(self) -> None:
        self.itself = self


async def test_old_garbage_goes_and_all_is_as_before_at_the_end() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    collecting = asyncio.create_task(collect_seldom(0.05))

    async def held() -> bool:
        return gc.get_threshold()[:2] == (YOUNG, MIDDLE)

    await until(held)
    assert gc.get_threshold()[2] > 1_000_000 and gc.get_freeze_count() > frozen
    one = Circle()
    gone = weakref.ref(one)
    gc.collect()  # it is old now: nothing but a full collection looks at it
    del one

    async def collected() -> bool:
        return gone() is None

    await until(collected)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0
