"""Content and its names, step by step: whoever dies, comes twice or too late leaves no name without content."""

import asyncio
import hashlib
import os
import time
import uuid
from pathlib import Path

import pytest
from sqlalchemy import delete, text

from pavo.artifacts import recording, sweeping
from pavo.artifacts.domain import SWEEP_LOCK
from pavo.artifacts.folder_store import FolderStore
from pavo.artifacts.models import ArtifactRow
from pavo.artifacts.recording import ArtifactOwner, NewArtifact
from pavo.errors import ArtifactError, Unavailable
from tests.artifacts.keeper import LIMITS, Died, Keeper
from tests.tools.rows import new_subject


async def test_a_death_between_content_and_row_leaves_no_row_and_is_swept(keeper: Keeper) -> None:
    keeper.store.dies = True
    for _ in range(2):
        with pytest.raises(Died):
            await keeper.put("a", b"lost")
    assert keeper.has(b"lost") and await keeper.rows() == 0 and await keeper.used() == 0
    assert await sweeping.sweep(keeper.database, keeper.store) == 0, "a put may still be under way"
    assert await keeper.swept() == 1 and not keeper.has(b"lost")
    keeper.store.dies = False
    await keeper.put("a", b"lost")
    assert keeper.has(b"lost") and await keeper.swept() == 0 and keeper.has(b"lost")


async def test_an_attempt_that_was_taken_over_keeps_nothing(keeper: Keeper) -> None:
    old = keeper.files
    upload = await old.begin("a", "text/plain")
    await old.write(upload, b"old")
    await keeper.take_over()
    with pytest.raises(Unavailable):
        await old.finish(upload)
    assert not keeper.has(b"old") and await keeper.rows() == 0
    assert not list((keeper.store.root / "incoming").iterdir())


async def test_the_same_twice_is_one(keeper: Keeper) -> None:
    first, again = await keeper.put("a", b"x"), await keeper.put("a", b"x")
    assert first == again and await keeper.rows() == 1 and await keeper.used() == 1
    other = await keeper.put("a", b"yy")
    assert other.id != first.id and await keeper.rows() == 1 and await keeper.used() == 2
    assert await keeper.swept() == 1 and not keeper.has(b"x") and keeper.has(b"yy")
    at_once = await asyncio.gather(*(keeper.put("b", b"zzz") for _ in range(5)))
    assert len({each.id for each in at_once}) == 1 and await keeper.used() == 5


async def test_a_sweep_never_takes_what_is_being_kept(keeper: Keeper, tmp_path: Path) -> None:
    """Whichever comes first, whoever has a row has its content."""
    stop = asyncio.Event()

    async def sweep_on() -> None:
        while not stop.is_set():
            await keeper.swept()

    sweeps = [asyncio.create_task(sweep_on()) for _ in range(2)]
    for number in range(40):
        await keeper.put("a", b"even" if number % 2 else b"odd")
        assert keeper.has(b"even" if number % 2 else b"odd"), number
    stop.set()
    await asyncio.gather(*sweeps)
    await keeper.swept()
    assert keeper.has(b"even") and not keeper.has(b"odd")


async def test_two_that_swap_content_do_not_wait_for_each_other(keeper: Keeper) -> None:
    await keeper.put("a", b"1")
    await keeper.put("b", b"2")

    async def swap(name: str, first: bytes) -> None:
        for number in range(10):
            await keeper.put(name, b"1" if (number % 2) == (first == b"1") else b"2")

    async with asyncio.timeout(20):
        await asyncio.gather(swap("a", b"1"), swap("b", b"2"))
    assert await keeper.rows() == 2 and await keeper.used() == 2
    await keeper.swept()
    assert keeper.has(b"1") or keeper.has(b"2"), "whoever has a row has its content"


async def test_limits_of_task_and_organisation(keeper: Keeper) -> None:
    await keeper.put("a", b"x" * 900)
    with pytest.raises(ArtifactError, match="A task may keep 1,000 bytes"):
        await keeper.put("b", b"y" * 101)
    assert await keeper.rows() == 1 and await keeper.used() == 900 and not keeper.has(b"y" * 101)
    await keeper.put("a", b"z" * 1000)
    first = keeper.owner
    subject, _ = await new_subject(keeper.database)
    async with keeper.database.transaction() as session:
        await session.execute(
            text("UPDATE tasks SET organisation_id = :to WHERE id = :id"),
            {"to": first.organisation_id, "id": subject.id},
        )
    keeper.owner, keeper.subject = ArtifactOwner(subject.id, first.organisation_id), subject
    await keeper.take_over()
    with pytest.raises(ArtifactError, match="An organisation may keep 1,500 bytes"):
        await keeper.put("c", b"v" * 501)
    await keeper.put("c", b"v" * 500)
    assert await keeper.used() == 1500
    at_once = [keeper.put("d", b"d"), keeper.put("e", b"e")]
    assert all(isinstance(each, ArtifactError) for each in await asyncio.gather(*at_once, return_exceptions=True))
    async with keeper.database.transaction() as session:
        await session.execute(delete(ArtifactRow).where(ArtifactRow.organisation_id == first.organisation_id))
    assert await keeper.used() == 0


async def test_uploads_are_few_and_end(keeper: Keeper) -> None:
    begun = [await keeper.files.begin(f"{number}", "text/plain") for number in range(8)]
    with pytest.raises(ArtifactError, match="at once"):
        await keeper.files.begin("one more", "text/plain")
    with pytest.raises(ArtifactError, match="A task may keep"):
        await keeper.files.write(begun[0], b"x" * 1001)
    await keeper.files.write(begun[0], b"x" * 600)
    with pytest.raises(ArtifactError, match="A task may keep"):
        await keeper.files.write(begun[1], b"x" * 401)  # all that is begun counts
    for upload in begun:
        await keeper.files.abandon(upload)
    with pytest.raises(ArtifactError, match="Nothing was begun"):
        await keeper.files.finish(begun[0])
    assert not list((keeper.store.root / "incoming").iterdir())


async def test_what_nobody_noted_is_found(keeper: Keeper) -> None:
    await keeper.put("a", b"named")
    staged = await asyncio.to_thread(keeper.store.stage, b"restored away")
    keeper.store.publish(keeper.owner.organisation_id, staged)
    stranger = uuid.uuid4()
    keeper.store.publish(stranger, await asyncio.to_thread(keeper.store.stage, b"of another database"))
    draft = keeper.store.begin()
    draft.write(b"half")
    old = time.time() - 7300
    [path] = (keeper.store.root / "incoming").iterdir()
    os.utime(path, (old, old))
    keeper.store.begin()
    assert keeper.store.forget_drafts() == 1
    assert await sweeping.look_through(keeper.database, keeper.store) == 1
    assert await keeper.swept() == 1 and keeper.has(b"named") and not keeper.has(b"restored away")
    assert keeper.store.has(stranger, hashlib.sha256(b"of another database").hexdigest())


async def test_what_cannot_be_removed_holds_up_nothing_else(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for data in (b"stuck", b"goes"):
        await keeper.put("a", data)
    await keeper.put("a", b"last")
    stuck, remove = hashlib.sha256(b"stuck").hexdigest(), keeper.store.remove

    def refuse(organisation_id: uuid.UUID, sha256: str) -> None:
        if sha256 == stuck:
            raise PermissionError(13, "it is another user's")
        remove(organisation_id, sha256)

    monkeypatch.setattr(keeper.store, "remove", refuse)
    assert await keeper.swept() == 1 and keeper.has(b"stuck") and not keeper.has(b"goes")
    assert "another user's" in caplog.text
    assert await sweeping.sweep(keeper.database, keeper.store) == 0, "it is tried again later"
    monkeypatch.undo()
    assert await keeper.swept() == 1 and not keeper.has(b"stuck")


async def test_a_backup_holds_sweeps_up(keeper: Keeper) -> None:
    await keeper.put("a", b"1")
    await keeper.put("a", b"2")
    async with keeper.database.transaction() as session:
        await session.execute(text(f"SELECT pg_advisory_xact_lock_shared({SWEEP_LOCK})"))
        assert await keeper.swept() == 0 and keeper.has(b"1")
    assert await keeper.swept() == 1


async def test_several_at_once_are_all_or_none(keeper: Keeper) -> None:
    staged = [await asyncio.to_thread(keeper.store.stage, data) for data in (b"x", b"y" * 1000)]
    new = [NewArtifact(name, "text/plain", each) for name, each in zip("ab", staged, strict=True)]
    await recording.announce(keeper.database, keeper.owner, new)
    with pytest.raises(ArtifactError):
        async with keeper.database.transaction() as session:
            await recording.record(session, keeper.store, LIMITS, keeper.owner, new)
    assert await keeper.rows() == 0 and not keeper.has(b"x")


def test_the_store_is_its_users_alone(tmp_path: Path) -> None:
    store, organisation = FolderStore(tmp_path / "kept"), uuid.uuid4()
    staged = store.stage(b"x")
    store.publish(organisation, staged)
    for path in [store.root, *store.root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    store.remove(organisation, staged.sha256)
    store.remove(organisation, staged.sha256)
    with pytest.raises(Unavailable, match="is not in"):
        store.open(organisation, staged.sha256)
    assert sorted(path.name for path in store.root.iterdir()) == ["incoming"]
