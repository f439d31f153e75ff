import asyncio
import threading

import pytest

from pavo.deploy.local.machine.blocking_work import in_thread

PATIENCE = 10.0


async def test_the_event_loop_goes_on_meanwhile() -> None:
    told = threading.Event()
    asyncio.get_running_loop().call_later(0.05, told.set)
    assert await in_thread(told.wait, timeout=PATIENCE)


async def test_an_error_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_who_is_cancelled_is_there_until_the_work_has_ended(*, fails: bool) -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(PATIENCE)
        ended.set()
        if fails:
            raise ValueError("nobody is told")

    doing = asyncio.create_task(in_thread(work))
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    for _ in range(2):  # the second one, while it waits for the end
        doing.cancel()
        await asyncio.wait({doing}, timeout=0.1)
        assert not doing.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert ended.is_set()
