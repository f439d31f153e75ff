"""What `pavo agent run` is told: where the gateway is, who this is, what it may do."""

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pavo.errors import ConfigurationError

DEFAULT_PORT: Final = 7443
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_LABEL: Final = re.compile(r"[A-Za-z0-9][\w.:/=@+-]{0,99}", re.ASCII)
MAX_CAPACITY: Final = 100


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where the gateway is."""

    host: str
    port: int
    secure: bool

    @property
    def target(self) -> str:
        """As gRPC wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def read(cls, url: str) -> "GatewayAddress":
        """Of an https URL; http is taken for this machine alone, for the token is in every call.

        Raises:
            ConfigurationError: it is none.
        """
        remedy = "Give it as https://HOST:PORT, as the gateway's log tells it."
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigurationError(f"{url!r} is no URL: {error}.", field="--url", remedy=remedy) from error
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigurationError(f"{url!r} is no URL of a gateway.", field="--url", remedy=remedy)
        if parts.username or parts.password or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigurationError(f"{parts.scheme}://{host} is followed by more.", field="--url", remedy=remedy)
        if parts.scheme == "http" and not _is_loopback(host):
            raise ConfigurationError(
                "Over http the token could be read on its way.", field="--url", remedy="Give an https URL."
            )
        return cls(host, port or DEFAULT_PORT, parts.scheme == "https")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Of one agent program."""

    address: GatewayAddress
    token: str = field(repr=False)
    name: str
    state: Path
    """The folder of its journal, logs, mirrors and worktrees; one program uses it at a time."""
    labels: tuple[str, ...] = ()
    capacity: int = 1
    ca: bytes | None = None
    """PEM of the authority that alone is trusted; None: those of this system."""
    profiles: Path | None = None
    """A folder of more profiles of coding programs."""
    renew_seconds: float = 20.0
    working_seconds: float = 15.0

    @classmethod
    def read(
        cls,
        *,
        url: str,
        token: str,
        state: Path,
        name: str = "",
        labels: str = "",
        capacity: int = 1,
        ca: Path | None = None,
        profiles: Path | None = None,
    ) -> "AgentSettings":
        """Of what was typed.

        Raises:
            ConfigurationError: something of it is wrong.
        """
        if not token.strip() or not token.strip().isascii() or not token.strip().isprintable():
            remedy = "Make one by `pavo agent token create`, and give it by --token, --token-file or PAVO_AGENT_TOKEN."
            raise ConfigurationError("There is no token of an agent.", field="--token", remedy=remedy)
        return cls(
            address=GatewayAddress.read(url),
            token=token.strip(),
            name=_checked_name(name or socket.gethostname().split(".")[0]),
            state=state.expanduser().absolute(),
            labels=_checked_labels(labels),
            capacity=_checked_capacity(capacity),
            ca=None if ca is None else _certificate(ca),
            profiles=profiles,
        )


def default_state() -> Path:
    """Where an agent keeps what it must not lose, where nothing else is said."""
    return Path("~/.local/state/pavo-agent").expanduser()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"{name[:100]!r} is no name of an agent.",
            field="--name",
            remedy="Use up to 100 letters, digits and _.-, beginning with a letter or a digit.",
        )
    return name


def _checked_labels(text: str) -> tuple[str, ...]:
    found = [each.strip() for each in text.split(",") if each.strip()]
    for each in found:
        if _LABEL.fullmatch(each) is None:
            raise ConfigurationError(
                f"{each[:100]!r} is no label.",
                field="--labels",
                remedy="Use letters, digits and _.:/=@+-, and commas between labels.",
            )
    return tuple(dict.fromkeys(found))


def _checked_capacity(capacity: int) -> int:
    if not 1 <= capacity <= MAX_CAPACITY:
        raise ConfigurationError(
            f"A capacity of {capacity} cannot be.", field="--capacity", remedy=f"Choose 1 to {MAX_CAPACITY}."
        )
    return capacity


def _certificate(path: Path) -> bytes:
    try:
        found = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The certificate cannot be read: {error}.", field="--ca", remedy="Name a PEM file."
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in found:
        raise ConfigurationError(
            f"{path} holds no certificate.", field="--ca", remedy="Name the PEM file of the deployment's authority."
        )
    return found
