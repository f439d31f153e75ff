"""What an agent's machine has, and what it lacks: git, programs, confinement, disk, the gateway."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from pavo.errors import ConfigurationError, PavoError
from pavo.protocol import fleet_pb2 as pb
from pavo.remote.connection import GrpcGateway
from pavo.remote.diagnosis import NotConnected, Refused
from pavo.remote.programs.profile import COMMAND, Profile
from pavo.remote.programs.sandbox import REMEDY, Sandboxes, found_here, refusal
from pavo.remote.settings import AgentSettings, GatewayAddress

LEAST_FREE_BYTES: Final = 2_000_000_000
OLDEST_GIT: Final = (2, 31)
_SECONDS: Final = 10.0
_ANSWER_BYTES: Final = 16_384
"""Of a proxy's answer to CONNECT."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one look."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    found: bool = True
    """False: a program that is not installed, which need not be."""


def look(settings: AgentSettings, profiles: Mapping[str, Profile]) -> list[Finding]:
    """Look at everything; takes some seconds at most for each, and changes nothing but the state directory."""
    here = found_here()
    looks: dict[str, Callable[[], str]] = {
        "git": _git,
        "State": lambda: _state(settings.state),
        "Disk": lambda: _disk(settings.state),
        "Processes": _processes,
        "Confinement": lambda: _confinement(here),
        "Gateway": lambda: reach(settings.address, settings.ca),
        "Token": lambda: asyncio.run(_token(settings)),
    }
    found = [_found(name, each) for name, each in looks.items()]
    return found + [_program(each, here) for each in profiles.values()]


def _found(name: str, look_at: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look_at())
    except PavoError as error:
        return Finding(name, False, error.detail, error.remedy or "")


def _git() -> str:
    program = shutil.which("git")
    if program is None:
        raise ConfigurationError("git is not installed.", remedy="Install it where PATH finds it.")
    said = _said([program, "--version"])
    numbers = tuple(int(each) for each in said.removeprefix("git version ").split(".")[:2] if each.isdecimal())
    if numbers < OLDEST_GIT:
        raise ConfigurationError(f"{said} is too old.", remedy="Install git 2.31 or later.")
    return said


def _state(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / ".probe"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        remedy = "Name a folder that this user may write, by --state."
        raise ConfigurationError(f"The state directory: {error}.", remedy=remedy) from error
    if folder.stat().st_mode & 0o077:
        raise ConfigurationError(f"Others may look into {folder}.", remedy=f"chmod 700 {folder}")
    return str(folder)


def _disk(folder: Path) -> str:
    place = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        raise ConfigurationError(
            f"{free / 1e9:.1f} GB are free at {place}.",
            remedy="Make space, or name a folder on a larger disk by --state.",
        )
    return f"{free / 1e9:.0f} GB free at {place}"


def _processes() -> str:
    if sys.platform != "linux":
        raise ConfigurationError(
            "What programs leave behind is found on Linux alone.",
            remedy="Run agents whose programs you do not trust to end cleanly on Linux.",
        )
    return "what programs start ends with them"


def reach(address: GatewayAddress, ca: bytes | None) -> str:
    """By TCP and TLS of our own, whose errors say more than gRPC's, and through the proxy that gRPC takes."""
    proxy = proxy_for(address.host)
    if proxy is None:
        how, remedy = "", "Look at --url; where a proxy is the way out, name it by https_proxy, in small letters."
    else:
        how = f" through the proxy {proxy.hostname}:{proxy.port}"
        remedy = "Look at https_proxy and no_proxy, and whether the proxy allows CONNECT to that host and port."
    try:
        with _way_to(address, proxy) as plain:
            return (_tls(address, ca, plain) if address.secure else f"{address.target} listens") + how
    except OSError as error:
        raise ConfigurationError(f"{address.target} is not reached{how}: {error}.", remedy=remedy) from error


def proxy_for(host: str) -> SplitResult | None:
    """The CONNECT proxy by which gRPC reaches a host, by the variables that it reads; None: none.

    Raises:
        ConfigurationError: the variable names no proxy.
    """
    name = _first_set("grpc_proxy", "https_proxy", "http_proxy")
    without = _first_set("no_grpc_proxy", "no_proxy")
    left_out = [each.strip().lower() for each in os.environ.get(without, "").split(",")]
    if not name or any(each and host.lower().endswith(each) for each in left_out):
        return None
    try:
        found = urlsplit(os.environ[name])
        if found.scheme == "http" and found.hostname and found.port:
            return found
    except ValueError:
        pass
    raise ConfigurationError("What it has names no proxy.", field=name, remedy="Give it as http://HOST:PORT.")


def _first_set(*names: str) -> str:
    """The variable that gRPC takes, which reads them in small letters alone; empty: none is set."""
    return next((each for each in names if os.environ.get(each)), "")


def _way_to(address: GatewayAddress, proxy: SplitResult | None) -> socket.socket:
    if proxy is None:
        return socket.create_connection((address.host, address.port), timeout=_SECONDS)
    plain = socket.create_connection((proxy.hostname, proxy.port), timeout=_SECONDS)
    try:
        plain.sendall(_connect(address, proxy))
        answer, until = b"", time.monotonic() + _SECONDS
        while b"\r\n\r\n" not in answer and len(answer) < _ANSWER_BYTES and time.monotonic() < until:
            part = plain.recv(_ANSWER_BYTES)
            if not part:
                break
            answer += part
        words = answer.split(b"\r\n", 1)[0].decode(errors="replace")[:200].split(" ", 1)
        if len(words) < 2 or not words[1].startswith("2"):
            raise OSError(f"the proxy answers {words[-1] or 'nothing'!r}")
    except BaseException:
        plain.close()
        raise
    return plain


def _connect(address: GatewayAddress, proxy: SplitResult) -> bytes:
    lines = [f"CONNECT {address.target} HTTP/1.1", f"Host: {address.target}"]
    if proxy.username:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}")
    return "\r\n".join((*lines, "", "")).encode()


def _tls(address: GatewayAddress, ca: bytes | None, plain: socket.socket) -> str:
    context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(plain, server_hostname=address.host) as secured:
            if secured.selected_alpn_protocol() != "h2":
                raise ConfigurationError(
                    f"What answers at {address.target} speaks no HTTP/2.",
                    remedy="Have the proxy that inspects TLS leave this host alone.",
                )
            return f"{address.target} answers by {secured.version()}"
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"The certificate of {address.target} is not trusted: {error.verify_message}.",
            remedy="Give --ca the certificate of the deployment's authority; or a proxy inspects TLS.",
        ) from error
    except ssl.SSLError as error:
        remedy = "Look whether --url names the gateway's port."
        raise ConfigurationError(f"No TLS with {address.target}: {error}.", remedy=remedy) from error


async def _token(settings: AgentSettings) -> str:
    """An agent that is not known yet is refused otherwise than a token that is not."""
    gateway = GrpcGateway(settings.address, settings.token, settings.ca)
    try:
        await gateway.renew(pb.RenewRequest(agent=settings.name))
    except Refused as error:
        if "no agent of this name" not in error.detail:
            raise
        return "is taken; this agent has not been here yet"
    except NotConnected:
        raise
    finally:
        await gateway.close()
    return "is taken"


def _confinement(here: Sandboxes) -> str:
    """What holds here, and why bubblewrap does not. That nothing holds is wrong only where a profile wants it."""
    return f"{here.words}; no bubblewrap: {here.no_bubblewrap}" if here.no_bubblewrap else here.words


def _program(profile: Profile, here: Sandboxes) -> Finding:
    if why := refusal(profile.sandbox, here, network=profile.network):
        return Finding(profile.name, False, f"It is not offered: {why}.", REMEDY)
    if profile.name == COMMAND:
        return Finding(profile.name, True, "any command of a job")
    program = shutil.which(profile.program)
    if program is None:
        return Finding(profile.name, True, "not installed", found=False)
    version = _said([program, *profile.version[1:]]) if profile.version else ""
    return Finding(profile.name, True, f"{program} {version}".strip())


def _said(argv: list[str]) -> str:
    """The first line that a program prints."""
    try:
        said = subprocess.run(argv, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return "(it does not tell its version)"
    lines = said.stdout.decode(errors="replace").strip().splitlines()
    return lines[0][:100] if lines else ""
