"""A folder and a bucket, side by side: the same of both; what only a bucket can do wrong."""

import asyncio
import hashlib
import os
import time
import uuid
from pathlib import Path

import obstore
import pytest

from pavo import config
from pavo.artifacts import s3_store
from pavo.artifacts.folder_store import FolderStore
from pavo.artifacts.s3_store import PART_BYTES, S3Store
from pavo.artifacts.wiring import build_keeping
from pavo.errors import ConfigurationError, Unavailable
from tests.artifacts.bucket import SECRET, Bucket
from tests.artifacts.keeper import Dying
from tests.parts import free_port
from tests.serving import serving

MINE = uuid.uuid4()


def put(store: Dying | S3Store, data: bytes, whose: uuid.UUID = MINE) -> str:
    staged = store.stage(data)
    store.publish(whose, staged)
    assert not staged.path.exists()
    return staged.sha256


def read(store: Dying | S3Store, sha256: str) -> bytes:
    with os.fdopen(store.open(MINE, sha256), "rb") as file:
        file.seek(0)
        return file.read()


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES + 1])
def test_what_was_put_is_read(dying: Dying, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    sha256 = put(dying, data)
    assert put(dying, data) == sha256 == hashlib.sha256(data).hexdigest() and dying.has(MINE, sha256)
    assert read(dying, sha256) == data
    if size:
        assert dying.part(MINE, sha256, size - 1, 1) == data[-1:] and dying.part(MINE, sha256, 0, size) == data
    dying.lay(MINE, sha256, tmp_path / "laid")
    assert (tmp_path / "laid").read_bytes() == data and (tmp_path / "laid").stat().st_mode & 0o077 == 0


def test_what_is_open_stays_readable_when_it_is_removed(dying: Dying) -> None:
    sha256 = put(dying, b"gone")
    descriptor = dying.open(MINE, sha256)
    for _ in range(2):
        dying.remove(MINE, sha256)
        assert not dying.has(MINE, sha256)
    assert os.pread(descriptor, 10, 0) == b"gone"
    os.close(descriptor)
    with pytest.raises(Unavailable, match="is not in"):
        dying.part(MINE, sha256, 0, 1)
    with pytest.raises(Unavailable, match="is not in") as lacking:
        dying.open(MINE, sha256)
    assert lacking.value.remedy and "PAVO_ARTIFACTS" in lacking.value.remedy


def test_each_organisation_has_its_own(dying: Dying) -> None:
    other = uuid.uuid4()
    first, second = put(dying, b"first"), put(dying, b"first", other)
    third = put(dying, b"third")
    found: dict[uuid.UUID, set[str]] = {}
    for organisation_id, hashes in dying.contents():
        found.setdefault(organisation_id, set()).update(hashes)
    assert found == {MINE: {first, third}, other: {second}}
    dying.remove(MINE, first)
    assert dying.has(other, second)


# A bucket


def test_more_than_a_page_is_listed(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "_PAGE", 3)
    store = S3Store(bucket.settings(tmp_path.name), tmp_path)
    put_there = {put(store, bytes([number])) for number in range(10)}
    assert {sha256 for _, hashes in store.contents() for sha256 in hashes} == put_there


def test_what_others_put_there_is_not_ours(bucket: Bucket, tmp_path: Path) -> None:
    store = S3Store(bucket.settings(tmp_path.name), tmp_path)
    for key in ("notes.txt", f"{MINE}/ab/short", f"{MINE}/ab/{'c' * 64}", f"x/{MINE}/ab/{'ab' * 32}"):
        obstore.put(store._bucket, key, b"x")  # pyright: ignore[reportPrivateUsage]
    assert not [*store.contents()]


def test_content_that_was_changed_is_found_out(bucket: Bucket, tmp_path: Path) -> None:
    store = S3Store(bucket.settings(tmp_path.name), tmp_path)
    sha256 = put(store, b"true")
    obstore.put(store._bucket, f"{MINE}/{sha256[:2]}/{sha256}", b"false")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Unavailable, match="not what its name says"):
        store.open(MINE, sha256)


def test_a_key_that_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    store = S3Store(bucket.settings(tmp_path.name, s3_secret_key="another-canary"), tmp_path)
    staged = store.stage(b"x")
    for refused in (
        lambda: store.publish(MINE, staged),
        lambda: store.open(MINE, staged.sha256),
        lambda: store.has(MINE, staged.sha256),
        lambda: [*store.contents()],
    ):
        with pytest.raises(Unavailable) as told:
            refused()
        said = f"{told.value.detail} {told.value.remedy} {told.value.__cause__}"
        assert "PAVO_ARTIFACTS_S3" in said and "canary" not in said and len(said) < 1000
    with pytest.raises(OSError, match="cannot be used"):
        store.remove(MINE, staged.sha256)
    assert staged.path.exists(), "what could not be put there may be tried again"


def test_nobody_there(tmp_path: Path) -> None:
    store = S3Store(Bucket(f"http://127.0.0.1:{free_port()}").settings("x"), tmp_path)
    with pytest.raises(Unavailable, match="cannot be used") as told:
        store.publish(MINE, store.stage(b"x"))
    assert told.value.dependency == "artifacts" and SECRET not in f"{told.value.detail}"


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "REQUEST_SECONDS", 1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as port:
        store = S3Store(Bucket(f"http://127.0.0.1:{port}").settings("x"), tmp_path)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="cannot be used"):
            await asyncio.to_thread(store.has, MINE, "0" * 64)
        assert time.monotonic() - began < 15


# Settings

GIVEN = {"PAVO_ARTIFACTS_S3": "s3://bucket/a/b/", "PAVO_ARTIFACTS_S3_ENDPOINT": "http://127.0.0.1:1"}
KEYS = {"PAVO_ARTIFACTS_S3_ACCESS_KEY": "a", "PAVO_ARTIFACTS_S3_SECRET_KEY": "b"}


@pytest.mark.parametrize("keys", [{}, KEYS])
def test_the_settings_choose(tmp_path: Path, keys: dict[str, str]) -> None:
    keeping = build_keeping(config.load({**GIVEN, **keys}))
    assert keeping is not None and isinstance(keeping.store, S3Store)
    keeping = build_keeping(config.load({**GIVEN, "PAVO_ARTIFACTS_FOLDER": str(tmp_path)}))
    assert keeping is not None and isinstance(keeping.store, S3Store) and keeping.store.root == tmp_path
    keeping = build_keeping(config.load({"PAVO_ARTIFACTS_FOLDER": str(tmp_path), "PAVO_ARTIFACTS_S3": ""}))
    assert keeping is not None and isinstance(keeping.store, FolderStore)


@pytest.mark.parametrize(
    "wrong",
    [
        {"PAVO_ARTIFACTS_S3": "bucket"},
        {"PAVO_ARTIFACTS_S3": "s3://Bucket"},
        {"PAVO_ARTIFACTS_S3": "s3://key:secret@bucket"},
        {"PAVO_ARTIFACTS_S3": "s3://bucket/a b"},
        {"PAVO_ARTIFACTS_S3_ENDPOINT": "minio:9000"},
        {"PAVO_ARTIFACTS_S3_ENDPOINT": "http://key:secret@minio:9000"},
        {"PAVO_ARTIFACTS_S3_SECRET_KEY": "b"},
        {"PAVO_ARTIFACTS_S3_ACCESS_KEY": "a"},
    ],
)
def test_settings_that_are_none(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="PAVO_ARTIFACTS_S3") as told:
        config.load(wrong)
    assert told.value.remedy
