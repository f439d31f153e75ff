"""A gateway that is well, and each way in which it is not: what is said, and what to do."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pavo.deploy.certificates.authority import Signed, new_authority, sign
from pavo.deploy.checks import gateway
from pavo.deploy.checks.gateway import GatewayReach, reach_gateway
from pavo.errors import ConfigurationError
from tests.fleet.conftest import start_gateway
from tests.fleet.test_tls import certified
from tests.parts import Parts, free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, secured: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """The port of a server of the test's own."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=secured)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


def authority_file(authority: Signed, folder: Path) -> Path:
    file = folder / "ca.pem"
    file.write_text(authority.certificate_pem)
    return file


def context(authority: Signed, folder: Path, names: list[str], now: datetime) -> ssl.SSLContext:
    signed = sign(authority, "gateway", names, now)
    file = folder / "server.pem"
    file.write_text(signed.certificate_pem + signed.key_pem)
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(file)
    return found


async def test_a_gateway_that_is_well_with_and_without_tls(parts: Parts, tmp_path: Path) -> None:
    authority = new_authority("ours", datetime.now(UTC))
    ca = authority_file(authority, tmp_path)
    secured = await start_gateway(parts, 0, **certified(authority, tmp_path))
    plain = await start_gateway(parts)
    found = await reach_gateway(GatewayReach.of(f"https://{secured.address}", ca))
    assert found.status == "pass" and secured.address in found.detail and "until" in found.detail, found
    found = await reach_gateway(GatewayReach.of(f"http://{plain.address}"))
    assert found.status == "pass" and "without TLS" in found.detail, found
    wrong_way = await reach_gateway(GatewayReach.of(f"https://{plain.address}", ca))
    assert wrong_way.status == "fail" and "http://" in (wrong_way.remedy or ""), wrong_way
    for part in (secured, plain):
        part.part.end()


async def test_what_is_wrong_with_its_certificate(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ours, theirs = new_authority("ours", now), new_authority("theirs", now)
    ca = authority_file(ours, tmp_path)
    long_ago = now - timedelta(days=3_000)
    for authority, names, moment, said, remedy in (
        (theirs, ["127.0.0.1"], now, "not accepted", "--gateway-ca"),
        (ours, ["gateway.example"], now, "not for 127.0.0.1", "PAVO_GATEWAY_NAMES"),
        (ours, ["127.0.0.1"], long_ago, "expired", "Restart the gateway"),
    ):
        async with serving(hang, context(authority, tmp_path, names, moment)) as port:
            found = await reach_gateway(GatewayReach("127.0.0.1", port, True, ca))
        assert found.status == "fail" and said in found.detail and remedy in (found.remedy or ""), found


async def test_one_that_is_not_there_hangs_or_is_something_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = tmp_path / "empty.pem"
    nothing.write_text("")
    unreadable = await reach_gateway(GatewayReach("127.0.0.1", free_port(), True, nothing))
    assert unreadable.status == "fail" and "empty.pem" in unreadable.detail, unreadable
    absent = await reach_gateway(GatewayReach.of(f"https://127.0.0.1:{free_port()}"))
    assert absent.status == "fail" and "cannot be reached" in absent.detail and "pavo up" in (absent.remedy or "")
    async with serving(http1) as port:
        other = await reach_gateway(GatewayReach("127.0.0.1", port, tls=False))
    assert other.status == "fail" and "HTTP/2" in other.detail, other
    monkeypatch.setattr(gateway, "SECONDS", 0.5)
    authority = new_authority("ours", datetime.now(UTC))
    ca = authority_file(authority, tmp_path)
    secured = context(authority, tmp_path, ["127.0.0.1"], datetime.now(UTC))
    for tls, server in ((False, None), (True, secured), (True, None)):
        async with serving(hang, server) as port:
            found = await reach_gateway(GatewayReach("127.0.0.1", port, tls, ca))
        assert found.status == "fail" and "does not answer within 0.5 s" in found.detail, found
        assert "pavo logs gateway" in (found.remedy or "")


def test_a_url_is_read_as_an_agent_reads_it() -> None:
    assert GatewayReach.of("https://gateway.example") == GatewayReach("gateway.example", 7443, True)
    assert GatewayReach.of("http://[::1]:9").shown == "[::1]:9"
    for wrong in ("gateway.example", "grpc://x", "https://", "https://x:y"):
        with pytest.raises(ConfigurationError, match="no URL of a gateway"):
            GatewayReach.of(wrong)
