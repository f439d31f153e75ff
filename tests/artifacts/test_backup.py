"""Artifacts in a backup: what the rows of its moment name, proven, and put back where it lacks."""

import asyncio
import json
import uuid
from pathlib import Path

import psycopg
import pytest

from pavo.artifacts.folder_store import FolderStore
from pavo.deploy.local.dumps import artifact_files
from pavo.deploy.local.dumps.artifact_files import Connection
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError
from tests.artifacts.keeper import Keeper
from tests.driving import until


@pytest.fixture
def reader(apart: str) -> Connection:
    return psycopg.connect(apart, autocommit=True)


async def test_backed_up_of_one_moment_and_put_back(keeper: Keeper, reader: Connection, tmp_path: Path) -> None:
    await keeper.put("a", b"first")
    await keeper.put("b", b"first")
    place = tmp_path / "backup"
    place.mkdir()
    with reader:
        artifact_files.hold(reader)
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        reader.execute("SELECT 1")
        await keeper.put("a", b"second")
        await keeper.put("b", b"second")
        assert await keeper.swept() == 0, "nothing goes while it is copied"
        found = await asyncio.to_thread(artifact_files.copy, reader, keeper.store, place)
        reader.execute("ROLLBACK")
    assert found is not None

    async def swept() -> bool:
        """Once PostgreSQL has seen that the reader, and so its lock, is gone."""
        await keeper.swept()
        return not keeper.has(b"first")

    await until(swept, what="the removal of what was copied")
    mine = [
        line for line in (place / "artifacts.txt").read_text().splitlines() if str(keeper.owner.organisation_id) in line
    ]
    assert len(mine) == 1 and mine[0].endswith(" 5"), "that of the moment, once"
    artifact_files.check(place, found)
    artifact_files.prove(place)
    fresh = FolderStore(tmp_path / "fresh")
    assert artifact_files.put_back(place, fresh) == found.count and artifact_files.put_back(place, fresh) == 0
    [content] = (fresh.root / str(keeper.owner.organisation_id)).rglob("?" * 64)
    assert content.read_bytes() == b"first" and content.stat().st_mode & 0o077 == 0

    copied = place / "artifacts" / str(keeper.owner.organisation_id) / content.name
    copied.unlink()
    copied.write_bytes(b"FIRST")
    artifact_files.check(place, found)
    for work in (artifact_files.prove, lambda place: artifact_files.put_back(place, FolderStore(tmp_path / "other"))):
        with pytest.raises(ConfigurationError, match="not what was backed up"):
            work(place)
    copied.unlink()
    with pytest.raises(ConfigurationError, match="not what was backed up"):
        artifact_files.check(place, found)


async def test_what_the_store_lacks_is_counted(keeper: Keeper, reader: Connection, tmp_path: Path) -> None:
    kept = await keeper.put("a", uuid.uuid4().bytes)
    keeper.store.remove(keeper.owner.organisation_id, kept.sha256)
    with reader:
        found = artifact_files.copy(reader, keeper.store, tmp_path)
    assert found is not None and found.missing >= 1 and kept.sha256 not in (tmp_path / "artifacts.txt").read_text()


def test_where_a_deployment_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAVO_ARTIFACTS_FOLDER", raising=False)
    assert artifact_files.store_of(Layout(tmp_path)).root == tmp_path / "artifacts"
    monkeypatch.setenv("PAVO_ARTIFACTS_FOLDER", str(tmp_path / "elsewhere"))
    assert artifact_files.store_of(Layout(tmp_path)).root == tmp_path / "elsewhere"
    settings = {"format": 1, "revision": 1, "changed_at": "x", "values": {}, "secrets": ""}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    assert artifact_files.store_of(Layout(tmp_path)).root == tmp_path / "artifacts", "what it keeps decides"
