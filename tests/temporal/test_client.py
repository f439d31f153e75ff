"""How Temporal is reached with certificates from files."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pavo import config
from pavo.deploy.certificates.parts import ClientFiles, certificates_of
from pavo.deploy.model.layout import Layout
from pavo.errors import Unavailable
from pavo.temporal.client import connect


async def test_the_name_of_the_server_is_asked_for_beside_certificates_from_files(tmp_path: Path) -> None:
    own = certificates_of(Layout(tmp_path), ["temporal"])
    own.ensure(datetime.now(UTC))
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[str | None]()
    context.load_cert_chain(own.of("temporal"))

    def remember(_connection: object, name: str | None, _context: object) -> None:
        asked.append(name)

    context.sni_callback = remember
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        host, port = server.sockets[0].getsockname()
        given = {
            "TEMPORAL_ADDRESS": f"{host}:{port}",
            "TEMPORAL_TLS_SERVER_NAME": "temporal",
            **ClientFiles.of(own, "api").environment(),
        }
        with pytest.raises(Unavailable):  # it speaks no gRPC
            await connect(config.load(given).temporal)
    assert asked and set(asked) == {"temporal"}
