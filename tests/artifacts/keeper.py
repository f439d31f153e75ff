"""A task that keeps files in a database and a store of the tests' own: no worker sweeps there."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select, text, update

from pavo.artifacts import sweeping
from pavo.artifacts.domain import ArtifactLimits
from pavo.artifacts.folder_store import FolderStore
from pavo.artifacts.models import ArtifactLeftoverRow, ArtifactRow, ArtifactUsageRow
from pavo.artifacts.recording import ArtifactOwner
from pavo.artifacts.s3_store import S3Store
from pavo.artifacts.store import BlobStore, Staged
from pavo.artifacts.wiring import Keeping
from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.context.kept_artifacts import TaskArtifacts
from pavo.timeline.publish import Publisher
from tests.parts import Stores, drop_database, new_database
from tests.tools.rows import new_attempt, new_subject

LIMITS = ArtifactLimits(1000, 1500)


class Died(BaseException):
    """Stands in for the end of the process."""


class Dying(BlobStore):
    """Its process ends after content was put in its place, before the commit."""

    dies = False

    def publish(self, organisation_id: uuid.UUID, staged: Staged) -> None:
        super().publish(organisation_id, staged)
        if self.dies:
            raise Died


class DyingFolder(Dying, FolderStore):
    """In a folder."""


class DyingBucket(Dying, S3Store):
    """In a bucket."""


class Keeper:
    """A task that keeps files."""

    def __init__(self, database: Database, publisher: Publisher, store: Dying) -> None:
        self.database, self._publisher = database, publisher
        self.store = store

    async def begin(self) -> "Keeper":
        subject, _ = await new_subject(self.database)
        self.owner, self.subject = ArtifactOwner(subject.id, subject.organisation_id), subject
        await self.take_over()
        return self

    async def take_over(self) -> TaskArtifacts:
        """Another attempt's files."""
        held = HeldEpoch(await new_attempt(self.database, self.subject))
        self.files = TaskArtifacts(self.database, self._publisher, Keeping(self.store, LIMITS), self.owner, held)
        return self.files

    async def put(self, name: str, data: bytes, files: TaskArtifacts | None = None) -> Any:
        files = files or self.files
        upload = await files.begin(name, "text/plain")
        await files.write(upload, data)
        return await files.finish(upload)

    async def rows(self) -> int:
        async with self.database.reading() as session:
            mine = ArtifactRow.subject_id == self.owner.id
            return (await session.scalars(select(func.count()).select_from(ArtifactRow).where(mine))).one()

    async def used(self) -> int:
        async with self.database.reading() as session:
            mine = ArtifactUsageRow.organisation_id == self.owner.organisation_id
            return (await session.scalars(select(ArtifactUsageRow.bytes).where(mine))).one_or_none() or 0

    async def all_due(self) -> None:
        """As if the time had passed that a put may take."""
        async with self.database.transaction() as session:
            mine = ArtifactLeftoverRow.organisation_id == self.owner.organisation_id
            await session.execute(update(ArtifactLeftoverRow).where(mine).values(due_at=text("pavo_now()")))

    async def swept(self) -> int:
        await self.all_due()
        return await sweeping.sweep(self.database, self.store)

    def has(self, data: bytes) -> bool:
        return self.store.has(self.owner.organisation_id, hashlib.sha256(data).hexdigest())


@pytest.fixture(scope="package")
def apart(stores: Stores) -> Iterator[str]:
    """The URL of a database in which nobody else works."""
    url = new_database(stores)
    upgrade(url)
    yield url
    drop_database(stores, url)


@pytest.fixture(params=["folder", "bucket"])
def dying(request: pytest.FixtureRequest, tmp_path: Path) -> Dying:
    """Each kind of store, empty."""
    root = tmp_path / "artifacts"
    if request.param == "folder":
        return DyingFolder(root)
    return DyingBucket(request.getfixturevalue("bucket").settings(tmp_path.name), root)


@pytest_asyncio.fixture
async def keeper(apart: str, settings: Settings, dying: Dying) -> AsyncIterator[Keeper]:
    database, redis = Database(apart, pool_size=10), build_redis(settings)
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM artifact_leftovers"))
    publisher = Publisher(redis)
    publisher.start()
    yield await Keeper(database, publisher, dying).begin()
    await publisher.close()
    await redis.aclose()
    await database.close()
