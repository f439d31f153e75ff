"""Pages of the web: whose they may be, and what servers do to whoever reads them."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pavo.config import parse_networks
from pavo.errors import ToolFailed
from pavo.tools.builtin import web
from pavo.tools.builtin.web import BODY_BYTES, TEXT_BYTES, WebReader
from tests.serving import serving

HERE = parse_networks("127.0.0.0/8")


class Site:
    """Answers bytes by path."""

    def __init__(self) -> None:
        self.port = 0
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def page(self, path: str, body: bytes, kind: str = "text/plain", status: int = 200, more: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
        self.pages[path] = head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self.asked.append(path)
            answer = self.pages[path]
            while answer.endswith(b"FLOOD"):
                writer.write(answer.removesuffix(b"FLOOD") + b"x" * 1_000_000)
                await writer.drain()
                answer = b"FLOOD"
            writer.write(answer)
            await writer.drain()
            if answer.endswith(b"HANG"):
                await asyncio.sleep(60)
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def site() -> AsyncGenerator[Site]:
    found = Site()
    async with serving(found.serve) as found.port:
        yield found


@pytest.fixture
def reader() -> Iterator[WebReader]:
    found = WebReader(["127.0.0.1:*", "*.example:*"], HERE)
    yield found
    found.close()


async def told(reader: WebReader, url: str) -> str:
    with pytest.raises(ToolFailed) as failed:
        await reader.get(url)
    return failed.value.detail


async def test_a_page_is_read(reader: WebReader) -> None:
    async with site() as found:
        found.page("/a?b=1", "grün".encode("latin-1"), "text/html; charset=ISO-8859-1")
        page = await reader.get(found.url("/a?b=1"))
        assert (page.status, page.text, page.cut) == (200, "grün", False) and page.content_type.startswith("text/html")
        found.pages["/c"] = b"HTTP/1.1 404 X\r\ntransfer-encoding: chunked\r\n\r\n3\r\na\0b\r\n2\r\ncd\r\n0\r\n\r\n"
        page = await reader.get(found.url("/c"))
        assert (page.status, page.text) == (404, "a�bcd")


async def test_redirects_are_followed_where_they_may_lead(reader: WebReader) -> None:
    async with site() as found:
        found.page("/end", b"here", "text/plain; charset=nonsense")
        found.page("/1", b"", status=302, more="location: /end\r\n")
        page = await reader.get(found.url("/1"))
        assert (page.text, page.url) == ("here", found.url("/end"))
        found.page("/loop", b"", status=302, more="location: /loop\r\n")
        assert "more than 5" in await told(reader, found.url("/loop"))
        for where in (f"http://localhost:{found.port}/end", "http://other.org/", "file:///etc/passwd", "http://[::1]/"):
            found.page("/away", b"", status=302, more=f"location: {where}\r\n")
            found.asked.clear()
            said = await told(reader, found.url("/away"))
            assert ("may not be read" in said or "no address of the web" in said) and found.asked == ["/away"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "http://u:p@a.example/",
        "http://a.example:0/",
        "nonsense",
        "http://",
        "http://a b/",
        "http://ü.example/",
    ],
)
async def test_what_is_no_address(reader: WebReader, url: str) -> None:
    assert (await told(reader, url)).startswith("url: ")


async def test_hosts_that_nobody_allows(reader: WebReader) -> None:
    assert "127.0.0.1:*, *.example:*" in await told(reader, "https://example.com:8443/")
    nothing = WebReader([], [])
    assert "Those that may: none" in await told(nothing, "https://example.com/")
    nothing.close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "0x7f.1", "2130706433", "127.1"])
async def test_no_private_address_by_any_name(name: str) -> None:
    """The operator allows the host, and no network."""
    reader = WebReader([f"{name}:*"], [])
    async with site() as found:
        found.page("/", b"secret")
        said = await told(reader, found.url("/", name))
        assert ("no address that may be sent to" in said or "cannot be resolved" in said) and found.asked == []
    reader.close()


async def test_a_name_is_resolved_once_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a redirect leads is judged anew: allowed host, but by now a private address."""
    reader = WebReader(["*.example:*"], parse_networks("127.0.0.1/32"))
    answers = iter(["127.0.0.1", "127.0.0.9", "127.0.0.1"])

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with site() as found:
        found.page("/", b"", status=302, more="location: /end\r\n")
        found.page("/end", b"secret")
        assert "no address that may be sent to" in await told(reader, found.url("/", "a.example"))
        assert found.asked == ["/"] and next(answers) == "127.0.0.1"
    reader.close()


async def test_floods_are_cut_and_hangs_given_up(reader: WebReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SECONDS", 1.0)
    async with site() as found:
        head = b"HTTP/1.1 200 X\r\ncontent-type: text/plain\r\n"
        found.pages["/flood"] = head + b"\r\nFLOOD"
        page = await reader.get(found.url("/flood"))
        assert page.cut and len(page.text) == BODY_BYTES
        found.pages["/head"] = head + b"FLOOD"
        assert "no HTTP" in await told(reader, found.url("/head"))
        found.pages["/hang"] = head + b"content-length: 9\r\n\r\nHANG"
        begun = time.monotonic()
        assert "within 1 s" in await told(reader, found.url("/hang")) and time.monotonic() - begun < 3
        found.page("/quotes", b"\x01" * 150_000)
        page = await reader.get(found.url("/quotes"))
        assert page.cut and 6 * len(page.text) <= TEXT_BYTES


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"nonsense\r\n\r\n", "no HTTP"),
        (b"", "no HTTP"),
        (b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\n\r\nx", "no text but 'image/png'"),
        (b"HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\n\r\nx", "compressed"),
        (b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nx", "no HTTP"),
    ],
)
async def test_what_is_no_text(reader: WebReader, answer: bytes, why: str) -> None:
    async with site() as found:
        found.pages["/"] = answer
        assert why in await told(reader, found.url("/"))


async def test_a_port_where_nobody_listens(reader: WebReader) -> None:
    async with site() as found:
        url = found.url("/")
    assert "cannot be reached" in await told(reader, url)
