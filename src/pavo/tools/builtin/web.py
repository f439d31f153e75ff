"""Pages of the web, for agents: of hosts that the operator names alone, from checked addresses, bounded.

A server is foreign: whatever it does (hangs, floods, redirects to somewhere else, sends garbage) ends as an error that
says so. Each redirect is judged as the first address was: its host, and what its name resolves to. Bodies are asked for
without compression, which would hide how much comes.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from pavo import __version__
from pavo.errors import ToolFailed
from pavo.kit.json_values import encode_text
from pavo.kit.outgoing.addresses import Network
from pavo.kit.outgoing.connecting import Connector, Unreachable

HOSTS_SETTING: Final = "PAVO_HTTP_GET_HOSTS"
NETWORKS_SETTING: Final = "PAVO_HTTP_GET_NETWORKS"

SECONDS: Final = 30.0
"""For one page, with all redirects."""
BODY_BYTES: Final = 200_000
"""Of a body; what follows is cut off. As JSON it has at most what a result may have, see `TEXT_BYTES`."""
TEXT_BYTES: Final = 240_000
HEAD_BYTES: Final = 32_768
CHUNK_BYTES: Final = 65_536
REDIRECTS: Final = 5
RESOLVERS: Final = 32
MAX_URL: Final = 2_000

_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_TEXTS: Final = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")
_CHARSETS: Final = frozenset(("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "windows-1252", "utf-16"))


@dataclass(frozen=True, slots=True)
class WebPage:
    """What a server answered."""

    status: int
    url: str
    content_type: str
    text: str
    cut: bool


class WebReader:
    """Reads pages, from any event loop.

    Args:
        hosts: names, or patterns as `*.example.com`, with `:port` where it is not the usual one. None: nothing is read.
        networks: networks that are not public and may be reached nevertheless.
    """

    def __init__(self, hosts: Sequence[str], networks: Sequence[Network]) -> None:
        self._hosts = [each.lower() for each in hosts]
        self._connector = Connector(networks, NETWORKS_SETTING, plain_http=True, resolvers=RESOLVERS)

    def close(self) -> None:
        """End its threads."""
        self._connector.close()

    async def get(self, url: str) -> WebPage:
        """One page.

        Raises:
            ToolFailed: it may not be read, or there is no answer that is text.
        """
        try:
            async with asyncio.timeout(SECONDS):
                return await self._follow(url)
        except TimeoutError as error:
            raise ToolFailed(f"There was no answer within {SECONDS:g} s.") from error
        except Unreachable as error:
            raise ToolFailed(str(error)) from error
        except ssl.SSLCertVerificationError as error:
            raise ToolFailed(f"Its certificate is not accepted: {error.verify_message}.") from error
        except h11.RemoteProtocolError as error:
            raise ToolFailed(f"Its answer is no HTTP: {str(error)[:200]}.") from error
        except OSError as error:
            raise ToolFailed(f"The connection failed: {error.strerror or type(error).__name__}.") from error

    async def _follow(self, url: str) -> WebPage:
        for _ in range(REDIRECTS + 1):
            parts = self._allowed(url)
            page, location = await self._exchange(url, parts)
            if location is None:
                return page
            url = urljoin(url, location)
        raise ToolFailed(f"It redirects more than {REDIRECTS} times.")

    def _allowed(self, url: str) -> SplitResult:
        remedy = "Give an address like https://docs.example.com/page."
        if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
            raise ToolFailed("url: it is too long, or has characters that no address has.", remedy=remedy)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ToolFailed(f"url: {error}.", remedy=remedy) from error
        if parts.scheme not in ("https", "http") or not host or parts.username or parts.password or port == 0:
            raise ToolFailed("url: it is no address of the web, or holds a user and password.", remedy=remedy)
        named = host if port in (None, _usual_port(parts)) else f"{host}:{port}"
        if not any(fnmatchcase(named, each) for each in self._hosts):
            allowed = ", ".join(self._hosts) or "none"
            raise ToolFailed(
                f"The host {named[:200]} may not be read from. Those that may: {allowed[:500]}.",
                remedy=f"An operator allows hosts by {HOSTS_SETTING}.",
            )
        return parts

    async def _exchange(self, url: str, parts: SplitResult) -> tuple[WebPage, str | None]:
        """The page, or where it is instead."""
        secure = parts.scheme == "https"
        port = parts.port or _usual_port(parts)
        reader, writer = await self._connector.connect(parts.hostname or "", port, secure=secure, limit=CHUNK_BYTES)
        try:
            protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
            writer.write(protocol.send(_request(parts)) or b"")
            writer.write(protocol.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            return await _page(url, protocol, reader)
        finally:
            writer.transport.abort()


def _usual_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _request(parts: SplitResult) -> h11.Request:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [
        ("Host", parts.netloc),
        ("User-Agent", f"pavo/{__version__}"),
        ("Accept", "text/*, application/json, */*;q=0.1"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    return h11.Request(method="GET", target=target, headers=headers)


async def _page(url: str, protocol: h11.Connection, reader: asyncio.StreamReader) -> tuple[WebPage, str | None]:
    body, cut = bytearray(), False
    head: h11.Response | None = None
    while not cut:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await reader.read(CHUNK_BYTES))
        elif isinstance(event, h11.Response):
            head = event
            location = _header(head, b"location")
            if head.status_code in _REDIRECTS and location:
                return WebPage(head.status_code, url, "", "", cut=False), location
            _check_readable(head)
        elif isinstance(event, h11.Data):
            body += event.data
            cut = len(body) > BODY_BYTES
        elif not isinstance(event, h11.InformationalResponse):
            break
    assert head is not None  # else h11 would have raised
    kind = _header(head, b"content-type") or ""
    text, shortened = _bounded(bytes(body[:BODY_BYTES]).decode(_charset(kind), "replace").replace("\0", "�"))
    return WebPage(head.status_code, url, kind[:200], text, cut or shortened), None


def _header(head: h11.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1").strip() for each, value in head.headers if each == name), None)


def _check_readable(head: h11.Response) -> None:
    kind, encoding = _header(head, b"content-type"), _header(head, b"content-encoding")
    if encoding not in (None, "", "identity"):
        raise ToolFailed(f"It answers compressed ({encoding[:50]}), though it was asked not to.")
    plain = (kind or "text/plain").partition(";")[0].strip().lower()
    if not plain.startswith(_TEXTS) and not plain.endswith(("+json", "+xml")):
        raise ToolFailed(f"It is no text but {plain[:100]!r}.", remedy="Read another address.")


def _charset(kind: str) -> str:
    named = kind.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    return named if named in _CHARSETS else "utf-8"


def _bounded(text: str) -> tuple[str, bool]:
    """The text, cut so that its JSON is none too large: what JSON writes out takes up to six bytes a character."""
    cut = False
    while len(encode_text(text)) > TEXT_BYTES:
        text, cut = text[: len(text) * 3 // 4], True
    return text, cut
