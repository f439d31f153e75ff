"""Sessions of remote agents: who gets one, what it is told, and how it ends."""

import grpc
import pytest

from pavo.protocol import fleet_pb2 as pb
from tests.driving import until
from tests.fleet.conftest import Gateway, start_gateway
from tests.fleet.fake_agent import agent
from tests.fleet.rows import Rows
from tests.parts import Parts


async def test_hello_and_welcome(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        welcome = await builder.connect()
        row = await rows.of_agent()
        assert (row.online, row.session, row.labels, row.capacity) == (True, welcome.session, ["linux"], 2)
        assert row.queue == f"agent-{row.id}-{welcome.session}"
        assert (welcome.ping_seconds, welcome.silence_seconds, welcome.log_credit) == (1, 4, 1_048_576)
        await builder.until(lambda: builder.of("ping"))
        await builder.send(pb.FromAgent(ping=pb.Ping(number=7)))
        await builder.until(lambda: [each for each in builder.of("pong") if each.number == 7])
        changed = pb.Capabilities(labels=["gpu"], programs=["codex"], capacity=5, draining=True)
        await builder.send(pb.FromAgent(changed=changed))

        async def has_changed() -> bool:
            row = await rows.of_agent()
            return (row.labels, row.programs, row.capacity, row.draining) == (["gpu"], ["codex"], 5, True)

        await until(has_changed, what="the row says it")
        await rows.run("UPDATE remote_agents SET drain_asked = true WHERE id = :id", id=row.id)
        await builder.until(lambda: builder.of("drain"))
    await until(lambda: is_away(rows), what="the agent counts as away")


async def is_away(rows: Rows, name: str = "builder") -> bool:
    """Whether its row says so."""
    row = await rows.of_agent(name)
    return (row.online, row.queue, row.gateway) == (False, None, None)


async def test_a_wrong_token_opens_nothing(gateway: Gateway, rows: Rows) -> None:
    for token in ("pavo_agent_nobody", "", "x" * 5_000):
        async with agent(gateway.address, token) as builder:
            await builder.open(pb.FromAgent(hello=builder.hello()))
            ended = await builder.until(lambda: builder.ended)
            assert "UNAUTHENTICATED" in ended and "pavo agent token create" in ended
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await builder.stub.Renew(pb.RenewRequest(agent="builder"), metadata=builder.metadata)
            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert await rows.run("SELECT 1 FROM remote_agents WHERE organisation_id = :id", id=rows.organisation_id) == []


async def test_a_token_for_one_name_opens_no_other(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token("linter")) as builder:
        said = await builder.refused()
        assert "'linter' alone" in said.reason and said.remedy and not said.come_back
        with pytest.raises(grpc.aio.AioRpcError) as refused:  # as pavo agent doctor asks
            await builder.stub.Renew(pb.RenewRequest(agent="builder"), metadata=builder.metadata)
        assert "'linter' alone" in (refused.value.details() or "")


async def test_a_revoked_token_ends_its_sessions(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        await rows.revoke()
        said = await builder.goodbye(seconds=6)
        assert "revoked" in said.reason and said.remedy and not said.come_back
        await builder.open(pb.FromAgent(hello=builder.hello()))
        assert "UNAUTHENTICATED" in await builder.until(lambda: builder.ended)


async def test_another_machine_of_the_same_name_is_refused(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as first, agent(gateway.address, token) as second:
        await first.connect()
        second.machine_id = "other-machine"
        said = await second.refused()
        assert "machine-buil" in said.reason and "--name" in said.remedy
        assert first.ended is None
        await first.close()
        await until(lambda: is_away(rows), what="the first is away")
        await second.connect()


async def test_the_same_machine_gets_the_session(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as first, agent(gateway.address, token) as second:
        before = await first.connect()
        after = await second.connect()
        assert after.session == before.session + 1
        said = await first.goodbye()
        assert "newer session" in said.reason and not said.come_back
        row = await rows.of_agent()
        assert (row.online, row.session) == (True, after.session)  # the end of the first has changed nothing
        assert second.ended is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"protocol": 0}, "Upgrade it"),
        ({"agent": "../etc"}, "agent: "),
        ({"agent": ""}, "agent: "),
        ({"machine_id": ""}, "machine_id: "),
        ({"capabilities": pb.Capabilities(capacity=0)}, "capacity: "),
        ({"capabilities": pb.Capabilities(capacity=1, labels=["a b"])}, "labels: "),
        ({"capabilities": pb.Capabilities(capacity=1, programs=[f"p{n}" for n in range(100)])}, "programs: "),
    ],
)
async def test_a_hello_that_cannot_be_is_refused(
    gateway: Gateway, rows: Rows, wrong: dict[str, object], field: str
) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        said = await builder.refused(**wrong)
        assert field in said.reason and said.remedy and not said.come_back
    assert await rows.run("SELECT 1 FROM remote_agents WHERE organisation_id = :id", id=rows.organisation_id) == []


async def test_who_does_not_begin_with_a_hello_is_sent_away(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.open(pb.FromAgent(ping=pb.Ping(number=1)))
        assert "Hello" in await builder.until(lambda: builder.ended)
        await builder.connect()
        await builder.send(pb.FromAgent(hello=builder.hello()))
        assert "one Hello" in (await builder.goodbye()).reason


async def test_what_is_running_and_what_is_owed(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "other") as other:
        await builder.connect()
        await other.connect()
        mine, lost, foreign = await rows.job(), await rows.job(epoch=4), await rows.job("other")
        await rows.attempt(lost.uuid, 3)
        await rows.run("UPDATE job_attempts SET cleanup_owed = true WHERE job_id = :id AND epoch = 3", id=lost.uuid)
        await rows.run("UPDATE jobs SET lease_until = pavo_now() + interval '1 second' WHERE id = :id", id=mine.uuid)
        await builder.log(mine.id, 1, 1, ["one", "two"])
        await builder.logged(mine.id, 1, 2)
        await builder.close()
        said = [(mine.id, 1), (lost.id, 3), (foreign.id, 1), ("nonsense", 1)]
        welcome = await builder.connect(running=[pb.RunningJob(job_id=job, epoch=epoch) for job, epoch in said])
        kept = {(each.job_id, each.epoch): (each.yours, each.acked_log_seq) for each in welcome.jobs}
        assert kept == {(mine.id, 1): (True, 2), (lost.id, 3): (False, 0), (foreign.id, 1): (False, 0)}
        assert [(each.job_id, each.epoch) for each in welcome.debts] == [(lost.id, 3)]
        left = "SELECT lease_until > pavo_now() + interval '30 seconds' AS renewed FROM jobs WHERE id = :id"
        assert (await rows.one(left, id=mine.uuid)).renewed
        cleaned = pb.Result(command_id=str(lost.uuid), job_id=lost.id, epoch=3, cleaned=pb.Cleaned(freed_bytes=1))
        await builder.send(pb.FromAgent(result=cleaned))
        await builder.until(lambda: builder.of("result_ack"))
        assert await rows.run("SELECT 1 FROM job_attempts WHERE job_id = :id AND cleanup_owed", id=lost.uuid) == []


async def test_leases_are_renewed_apart_from_the_stream(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        welcome = await builder.connect()
        mine = await rows.job()
        await rows.run("UPDATE jobs SET lease_until = pavo_now() + interval '1 second' WHERE id = :id", id=mine.uuid)
        await builder.close()
        await until(lambda: is_away(rows), what="the agent counts as away")
        running = [pb.RunningJob(job_id=mine.id, epoch=1), pb.RunningJob(job_id=mine.id, epoch=9)]
        asked = pb.RenewRequest(agent="builder", session=welcome.session, jobs=running)
        reply = await builder.stub.Renew(asked, metadata=builder.metadata)
        assert [(each.epoch, each.yours) for each in reply.jobs] == [(1, True), (9, False)]
        left = "SELECT lease_until > pavo_now() + interval '30 seconds' AS renewed FROM jobs WHERE id = :id"
        assert (await rows.one(left, id=mine.uuid)).renewed
        assert await is_away(rows)  # a lease that is renewed makes nobody online
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await builder.stub.Renew(pb.RenewRequest(agent="nobody"), metadata=builder.metadata)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_an_agent_that_is_silent_loses_its_session(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        builder.answers_pings = False
        await builder.connect()
        said = await builder.goodbye()
        assert "Nothing was heard" in said.reason and said.come_back
        await until(lambda: is_away(rows), what="the agent counts as away")


async def test_a_gateway_that_ends_has_agents_come_back(parts: Parts, rows: Rows) -> None:
    ending = await start_gateway(parts)
    async with agent(ending.address, await rows.token()) as builder:
        await builder.connect()
        ending.part.process.terminate()
        said = await builder.goodbye()
        assert "ending" in said.reason and said.come_back
        assert await is_away(rows)
        ending.part.process.wait(20)
        assert ending.part.process.returncode == 0, ending.part.log.read_text()[-2000:]


async def test_an_organisations_agents_are_its_own(gateway: Gateway, rows: Rows, stranger_rows: Rows) -> None:
    async with (
        agent(gateway.address, await rows.token()) as mine,
        agent(gateway.address, await stranger_rows.token()) as theirs,
    ):
        await mine.connect()
        await theirs.connect()  # the same name, in another organisation
        assert (await rows.agent_id()) != (await stranger_rows.agent_id())
        job = await rows.job()
        asked = pb.RenewRequest(agent="builder", jobs=[pb.RunningJob(job_id=job.id, epoch=1)])
        reply = await theirs.stub.Renew(asked, metadata=theirs.metadata)
        assert [each.yours for each in reply.jobs] == [False]
