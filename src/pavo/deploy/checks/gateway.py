"""Whether the gateway answers as remote agents need it: by TLS of the authority that they are given, under its name."""

import asyncio
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pavo.deploy.local.liveness import GRPC
from pavo.deploy.model.findings import Finding
from pavo.errors import ConfigurationError

NAME: Final = "gateway"
SECONDS: Final = 5.0
"""For all of it: a gateway that is well takes milliseconds."""
DEFAULT_PORT: Final = 7443
_FRAME: Final = 9
"""Bytes of the head of an HTTP/2 frame; the server's first one tells its settings."""
_SETTINGS: Final = 4
_MISMATCHES: Final = (62, 64)
"""OpenSSL's codes of a certificate that is for another name, or another address."""
_EXPIRED: Final = 10
_NAMED: Final = (
    "Call it by a name that it has, or add this one: PAVO_GATEWAY_NAMES (pavo deploy set), then restart the gateway."
)
_OTHERS: Final = (
    "Give the certificate of the authority that signed it: --gateway-ca FILE; pavo status shows the deployment's."
)

_NONE: Final = "A gateway without TLS is called by http://, one with it by https://; else something is in between."


@dataclass(frozen=True, slots=True)
class GatewayReach:
    """Where agents find the gateway, and by what they know it."""

    host: str
    port: int
    tls: bool
    ca: Path | None = None
    """None: the authorities that this machine trusts."""

    @classmethod
    def of(cls, url: str, ca: Path | None = None) -> "GatewayReach":
        """As `pavo agent run --url` takes it.

        Raises:
            ConfigurationError: it is no URL of a gateway.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigurationError(
                f"{url!r} is no URL of a gateway.", field="--gateway", remedy="Write it as https://host:7443."
            )
        return cls(host, port or DEFAULT_PORT, parts.scheme == "https", ca)

    @property
    def shown(self) -> str:
        """For people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def reach_gateway(gateway: GatewayReach) -> Finding:
    """Connect as an agent does, and hear whether gRPC answers; whatever is wrong is the finding."""
    begun = time.monotonic()
    try:
        secured = _context(gateway.ca) if gateway.tls else None
    except OSError as error:  # ssl.SSLError is one
        return _failed(f"{gateway.ca} holds no certificate that can be read: {_said(error)}", _OTHERS)
    try:
        async with asyncio.timeout(SECONDS):
            until = await _greet(gateway, secured)
    except TimeoutError:
        remedy = "It hangs, or something on the way swallows the connection: pavo logs gateway, firewalls, proxies."
        return _failed(f"{gateway.shown} does not answer within {SECONDS:g} s.", remedy)
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(gateway, error)
    except (ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError) as error:
        remedy = (
            "A gateway without TLS is called by http://; else a proxy is in between, or it is none: pavo logs gateway."
        )
        return _failed(
            f"{gateway.shown} is no gateway with {'' if gateway.tls else 'plain '}gRPC: {_said(error)}", remedy
        )
    except OSError as error:
        remedy = "Start it: pavo up, or pavo gateway; look at pavo logs gateway, or correct the address."
        return _failed(f"{gateway.shown} cannot be reached: {_said(error)}", remedy)
    detail = f"answers at {gateway.shown}" + (f", its certificate holds until {until}" if until else ", without TLS")
    return Finding(NAME, "pass", detail, seconds=time.monotonic() - begun)


async def _greet(gateway: GatewayReach, secured: ssl.SSLContext | None) -> str:
    """Until when its certificate holds; empty without TLS."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port, ssl=secured, limit=2**16)
    try:
        tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        writer.write(GRPC)
        await writer.drain()
        head = await reader.readexactly(_FRAME)
        if head[3] != _SETTINGS:
            raise ConnectionResetError("it does not speak HTTP/2")
        return str((tls.getpeercert() or {}).get("notAfter", "?")) if tls is not None else ""
    finally:
        writer.transport.abort()


def _context(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    return context


def _not_trusted(gateway: GatewayReach, error: ssl.SSLCertVerificationError) -> Finding:
    if error.verify_code in _MISMATCHES:
        return _failed(f"Its certificate is not for {gateway.host}.", _NAMED)
    if error.verify_code == _EXPIRED:
        remedy = "Restart the gateway: the deployment renews its own; else replace PAVO_GATEWAY_TLS_CERT_PATH."
        return _failed("Its certificate has expired.", remedy)
    by = gateway.ca or "this machine's authorities"
    return _failed(f"Its certificate is not accepted by {by}: {error.verify_message}.", _OTHERS)


def _failed(detail: str, remedy: str) -> Finding:
    return Finding(NAME, "fail", detail, remedy)


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
