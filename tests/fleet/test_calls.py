"""Credentials and files: for an attempt that holds its job, and for the repository's host alone."""

import hashlib
from typing import Any

import grpc
import pytest

from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb
from tests.fleet.conftest import Gateway
from tests.fleet.fake_agent import FakeAgent, agent
from tests.fleet.rows import Job, Rows


async def ask(there: FakeAgent, job: Job, purpose: str = "git", host: str = "git.example.com", epoch: int = 0) -> Any:
    """What git is shown."""
    asked = pb.CredentialRequest(job_id=job.id, epoch=epoch or job.epoch, purpose=purpose, host=host)
    return await there.stub.Credential(asked, metadata=there.metadata)


async def refusal(there: FakeAgent, job: Job, **how: Any) -> tuple[grpc.StatusCode, str]:
    """Why it is not shown."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(there, job, **how)
    return refused.value.code(), refused.value.details() or ""


async def test_credentials(
    gateway: Gateway, rows: Rows, stranger_rows: Rows, sealed: Settings, database: Database
) -> None:
    secrets = SecretService(database, KeyRing.of(sealed.sealing))
    await secrets.set(rows.organisation_id, "GIT_TOKEN", "s3cr3t-of-git")
    token = await rows.token()
    async with (
        agent(gateway.address, token) as builder,
        agent(gateway.address, await rows.token("thief"), "thief") as thief,
        agent(gateway.address, await stranger_rows.token()) as stranger,
    ):
        for each in (builder, thief, stranger):
            await each.connect()
        job = await rows.job(repository=await rows.repository(credential="GIT_TOKEN", forge="gitea"))
        found = await ask(builder, job)
        assert (found.username, found.password) == ("x-access-token", "s3cr3t-of-git")
        assert (await ask(builder, job, host="git.example.com:443")).password == "s3cr3t-of-git"
        assert (await ask(builder, job, purpose="forge", host="")).password == "s3cr3t-of-git"
        for host in ("evil.example.com", "git.example.com:8443", "git.example.com@evil.example.com", "", "evil/git"):
            code, told = await refusal(builder, job, host=host)
            assert code == grpc.StatusCode.PERMISSION_DENIED and "s3cr3t" not in told
        for other in (thief, stranger):
            assert (await refusal(other, job))[0] == grpc.StatusCode.PERMISSION_DENIED
        assert (await refusal(builder, job, purpose="model"))[0] == grpc.StatusCode.FAILED_PRECONDITION
        assert (await refusal(builder, Job("nonsense", 1)))[0] == grpc.StatusCode.PERMISSION_DENIED
        await rows.run("UPDATE jobs SET lease_until = pavo_now() - interval '1 second' WHERE id = :id", id=job.uuid)
        code, told = await refusal(builder, job)
        assert code == grpc.StatusCode.FAILED_PRECONDITION and "push nothing" in told
        await rows.run("UPDATE jobs SET epoch = 2, lease_until = pavo_now() + interval '1 hour'")
        assert (await refusal(builder, job))[0] == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_repository_without_a_secret(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        assert not (await ask(builder, await rows.job())).password
        job = await rows.job(repository=await rows.repository(credential="NONE_SUCH"))
        code, told = await refusal(builder, job)
        assert code == grpc.StatusCode.FAILED_PRECONDITION and "pavo secret set NONE_SUCH" in told


async def put(there: FakeAgent, *parts: pb.ArtifactPart) -> Any:
    """Have a file kept."""
    return await there.stub.PutArtifact(iter(parts), metadata=there.metadata)


async def test_files(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with (
        agent(gateway.address, token) as builder,
        agent(gateway.address, await rows.token("thief"), "thief") as thief,
    ):
        await builder.connect()
        await thief.connect()
        job = await rows.job()
        first = pb.ArtifactPart(job_id=job.id, epoch=1, name="work.patch", media_type="text/x-diff", content=b"one")
        kept = await put(builder, first, pb.ArtifactPart(content=b"two"))
        assert kept.bytes == 6
        [row] = await rows.run("SELECT * FROM artifacts WHERE subject_id = :id", id=job.uuid)
        assert (row.name, row.media_type, row.bytes, row.sha256) == ("work.patch", "text/x-diff", 6, kept.sha256)
        for wrong, code in (
            (pb.ArtifactPart(job_id=job.id, epoch=9, name="x"), grpc.StatusCode.PERMISSION_DENIED),
            (pb.ArtifactPart(job_id=job.id, epoch=1, name="../x"), grpc.StatusCode.INVALID_ARGUMENT),
            (
                pb.ArtifactPart(job_id=job.id, epoch=1, name="x", content=b"x" * 300_000),
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await put(builder, wrong)
            assert refused.value.code() == code
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await put(thief, first)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        told = "SELECT data FROM events WHERE timeline_id = :id AND type = 'artifact_added'"
        await put(builder, first, pb.ArtifactPart(content=b"two"))  # its answer was lost
        [event] = await rows.run(told, id=job.uuid)
        assert (event.data["epoch"], event.data["name"], event.data["bytes"]) == (1, "work.patch", 6)
        await rows.run("UPDATE jobs SET epoch = 2 WHERE id = :id", id=job.uuid)
        await put(builder, first)
        names = await rows.run("SELECT name FROM artifacts WHERE subject_id = :id ORDER BY name", id=job.uuid)
        assert [each.name for each in names] == ["epoch-1/work.patch", "work.patch"]


async def test_a_file_that_was_cut_on_its_way_is_not_kept(gateway: Gateway, rows: Rows) -> None:
    whole = b"x" * 600_000
    announced = {"bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    kept = "SELECT name, bytes FROM artifacts WHERE subject_id = :id"
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        first = pb.ArtifactPart(job_id=job.id, epoch=1, name="patch", content=whole[:200_000], **announced)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await put(builder, first, pb.ArtifactPart(content=whole[:200_000]))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "400,000 bytes came" in (refused.value.details() or "")
        call = builder.stub.PutArtifact(metadata=builder.metadata)
        await call.write(first)
        call.cancel()  # as where the agent dies
        assert await rows.run(kept, id=job.uuid) == []
        rest = [pb.ArtifactPart(content=whole[at : at + 200_000]) for at in (200_000, 400_000)]
        await put(builder, first, *rest)
        assert [tuple(each) for each in await rows.run(kept, id=job.uuid)] == [("patch", 600_000)]
        for taken in ("epoch-1/patch", "epoch-x"):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await put(builder, pb.ArtifactPart(job_id=job.id, epoch=1, name=taken))
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        await rows.run("UPDATE jobs SET deleted_at = pavo_now() WHERE id = :id", id=job.uuid)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await put(builder, first, *rest)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
