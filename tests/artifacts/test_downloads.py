"""A download is bounded, ends when its reader may read no more, and leaves nothing open."""

import asyncio
import os
import uuid
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pavo.artifacts.domain import CHUNK_BYTES, Artifact
from pavo.artifacts.http import Download, disposition
from pavo.artifacts.service import Content

SIZE = 10 * CHUNK_BYTES
SCOPE = {"type": "http", "method": "GET"}


class Reader:
    """A client that takes a piece when it is told to."""

    def __init__(self) -> None:
        self.pieces = 0
        self.ended = False
        self.takes = asyncio.Semaphore(0)
        self.leaves = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            self.ended = self.ended or not message["more_body"]
            self.pieces += len(message["body"]) > 0
            assert len(message["body"]) <= CHUNK_BYTES
            await self.takes.acquire()

    async def receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
def content(tmp_path: Path) -> Content:
    file = tmp_path / "content"
    file.write_bytes(b"x" * SIZE)
    artifact = Artifact(uuid.uuid4(), "a.txt", "text/plain", SIZE, "0" * 64, datetime.now(UTC))
    return Content(artifact, os.open(file, os.O_RDONLY))


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("how", ["ended", "left", "all"])
async def test_it_ends_with_its_reader(content: Content, how: str) -> None:
    reader, download = Reader(), Download(content, 0, SIZE, 200)
    serving = asyncio.create_task(download(SCOPE, reader.receive, reader.send))
    while not reader.pieces:
        await asyncio.sleep(0)
    assert reader.pieces == 1 and is_open(content.descriptor) and not download.left
    if how == "ended":
        download.end("the task was deleted")
    if how == "left":
        reader.leaves.set()
        await asyncio.sleep(0)
    for _ in range(20):
        reader.takes.release()
    async with asyncio.timeout(10):
        await serving
    assert not is_open(content.descriptor) and download.left
    assert reader.pieces == (10 if how == "all" else 1)
    assert reader.ended == (how != "ended"), "whoever was cut off does not take it for whole"


async def test_content_that_is_shorter_than_it_was_is_not_taken_for_whole(content: Content, tmp_path: Path) -> None:
    os.truncate(tmp_path / "content", CHUNK_BYTES)
    reader, download = Reader(), Download(content, 0, SIZE, 200)
    for _ in range(20):
        reader.takes.release()
    with pytest.raises(OSError, match="shorter than it was"):
        await download(SCOPE, reader.receive, reader.send)
    assert not is_open(content.descriptor) and not reader.ended


def test_names_break_out_of_no_header() -> None:
    for name in ('a"; filename="b.exe', "a\r\nSet-Cookie: x", "ü/../€.txt", "a;b,c"):
        told = disposition(name)
        assert told.isascii() and told.isprintable() and told.count('"') == 2 and told.startswith("attachment; ")
