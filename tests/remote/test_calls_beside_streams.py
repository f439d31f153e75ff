"""What the agent program asks beside its stream: only once a gateway has welcomed it, and across reconnects."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from pavo.protocol import fleet_pb2 as pb
from pavo.remote import connection
from pavo.remote.connection import GrpcGateway
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.settings import GatewayAddress
from pavo.remote.work import Work
from tests.remote.fake_gateway import TOKEN, FakeGateway
from tests.remote.test_dispatch import JOB, World, command

ASKED = pb.CredentialRequest(job_id=JOB, epoch=1, purpose="git", host="git.example.com")


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    await fake.start()
    yield fake
    await fake.stop()


def program(fake: FakeGateway) -> GrpcGateway:
    return GrpcGateway(GatewayAddress("127.0.0.1", fake.port, secure=False), TOKEN, None)


async def greet(gateway: GrpcGateway, stream: connection.Stream) -> None:
    await stream.write(pb.FromAgent(hello=pb.Hello(agent="one", boot_id=gateway.boot_id)))
    welcome = await stream.read()
    assert welcome is not None and welcome.HasField("welcome")


async def test_a_call_under_way_is_answered_when_a_new_stream_begins(fake: FakeGateway) -> None:
    gateway = program(fake)
    fake.holds_renewals = asyncio.Event()
    try:
        async with gateway.stream() as stream:
            await greet(gateway, stream)
            renewing = asyncio.create_task(gateway.renew(pb.RenewRequest(jobs=[pb.RunningJob(job_id=JOB, epoch=1)])))
            await fake.until(lambda: fake.renewals)
        async with gateway.stream() as stream:
            await greet(gateway, stream)
            fake.holds_renewals.set()
            assert [each.yours for each in (await renewing).jobs] == [True]
            await gateway.credential(ASKED)  # on the new connection
    finally:
        await gateway.close()


async def test_a_program_asks_once_it_was_welcomed(fake: FakeGateway) -> None:
    gateway = program(fake)
    try:
        asking = asyncio.create_task(gateway.credential(ASKED))
        async with gateway.stream() as stream:
            await greet(gateway, stream)
            await asking
            assert len(fake.credentials) == 1
    finally:
        await gateway.close()


async def test_a_program_that_none_has_welcomed_tries_again(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not refused: what it does for a job fails so that it is done again."""
    monkeypatch.setattr(connection, "CALL_SECONDS", 0.2)
    gateway = program(fake)
    with pytest.raises(NotConnected, match="has welcomed this program") as told:
        await gateway.credential(ASKED)
    assert not isinstance(told.value, Refused) and not fake.credentials
    await gateway.close()


async def test_another_life_that_goes_on_is_no_stranger(tmp_path: Path) -> None:
    """A command that was put by is gone on with before the new life has greeted."""
    world = World(tmp_path)
    await world.gateway.start()
    asking, other = asyncio.Event(), program(world.gateway)

    async def half(work: Work) -> pb.Result:
        if work.kept is None:
            await work.put_by(b"half")
            work.log("put by")
            await asyncio.Event().wait()
        asking.set()
        await world.agents[-1].program._gateway.credential(ASKED)
        return pb.Result(executed=pb.Executed(changed=True))

    world.handlers.do = half
    first = world.start()
    await (await world.gateway.session()).send(command=command())
    await world.gateway.until(lambda: len(world.gateway.lines.get((JOB, 1), [])) == 2)
    await world.die(first)
    world.gateway.holds_hello = asyncio.Event()
    world.start()
    try:
        await asking.wait()
        for _ in range(5):  # so that what it asks meanwhile is refused
            await other.renew(pb.RenewRequest())
        world.gateway.holds_hello.set()
        result = await world.gateway.result(command().id)
        assert result.executed.changed, result
    finally:
        with contextlib.suppress(Refused):
            await world.agents[-1].stop()
        await other.close()
        await world.gateway.stop()


async def test_a_displaced_program_is_told_what_to_do(fake: FakeGateway) -> None:
    older, newer = program(fake), program(fake)
    try:
        async with older.stream() as stream, newer.stream() as other:
            await greet(older, stream)
            await greet(newer, other)
            with pytest.raises(Refused) as told:
                await older.credential(ASKED)
            assert "Another program runs as this agent" in told.value.detail
            assert "token" not in told.value.detail + (told.value.remedy or "")
            await newer.credential(ASKED)
    finally:
        await older.close()
        await newer.close()
