"""How the page's files are served."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from fastapi import FastAPI, Response

import pavo.ui
from pavo.errors import NotFound
from pavo.ui.endpoints import router

STATIC = Path(pavo.ui.__file__).parent / "static"


@pytest_asyncio.fixture
async def files() -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    app.include_router(router)
    app.add_exception_handler(NotFound, lambda request, error: Response(status_code=404))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
        yield client


async def test_the_page_lets_nothing_foreign_run(files: httpx2.AsyncClient) -> None:
    answer = await files.get("/")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", sorted(path.name for path in STATIC.iterdir()))
async def test_every_file_is_served_and_asked_for_again(files: httpx2.AsyncClient, name: str) -> None:
    first = await files.get(f"/ui/{name}")
    assert (first.status_code, first.content) == (200, (STATIC / name).read_bytes())
    assert first.headers["cache-control"] == "no-cache"
    again = await files.get(f"/ui/{name}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2fendpoints.py", "%2e%2e/endpoints.py"])
async def test_nothing_else_is_served(files: httpx2.AsyncClient, name: str) -> None:
    assert (await files.get(f"/ui/{name}")).status_code == 404


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_files_are_small_and_have_no_inline_code(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", text)
