"""The doctor goes to the gateway by the way that gRPC takes."""

import socket
import threading
from collections.abc import Generator

import pytest

from pavo.errors import ConfigurationError
from pavo.remote.doctor import proxy_for, reach
from pavo.remote.settings import GatewayAddress

NOWHERE = GatewayAddress.read("http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Generator[tuple[int, list[bytes]]]:
    """Its port and what it was asked; it answers what the test says, and connects to nothing."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def serve() -> None:
            there, _ = server.accept()
            with there:
                asked.append(there.recv(4_096))
                there.sendall(request.param)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(60)


@pytest.mark.parametrize("proxy", [b"HTTP/1.1 200 Connection established\r\n\r\n"], indirect=True)
def test_it_asks_the_proxy_with_its_password(proxy: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    port, asked = proxy
    monkeypatch.setenv("https_proxy", f"http://me:a%20word@127.0.0.1:{port}")
    assert reach(NOWHERE, None) == f"127.0.0.1:9 listens through the proxy 127.0.0.1:{port}"
    assert asked[0].startswith(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n") and b"Basic bWU6YSB3b3Jk" in asked[0]


@pytest.mark.parametrize("proxy", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"", b"x" * 100_000], indirect=True)
def test_a_proxy_that_refuses_is_named(proxy: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy[0]}")
    with pytest.raises(ConfigurationError, match=f"through the proxy 127.0.0.1:{proxy[0]}") as refused:
        reach(NOWHERE, None)
    assert "https_proxy" in (refused.value.remedy or "")


def test_which_proxy_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("agents.example.com") is None
    monkeypatch.setenv("http_proxy", "http://last:1")
    monkeypatch.setenv("https_proxy", "http://first:2")
    found = proxy_for("agents.example.com")
    assert found is not None and (found.hostname, found.port) == ("first", 2)
    monkeypatch.setenv("no_proxy", "localhost, Example.com")
    assert proxy_for("agents.example.com") is None and proxy_for("example.org") is not None
    monkeypatch.setenv("https_proxy", "first:x")
    with pytest.raises(ConfigurationError) as refused:
        proxy_for("example.org")
    assert refused.value.field == "https_proxy" and "http://HOST:PORT" in (refused.value.remedy or "")
