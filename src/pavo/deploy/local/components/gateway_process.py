"""The gateway to remote agents: where it listens, and the certificate by which agents know it.

Unless the operator brings a certificate, or a proxy ends TLS, the deployment's own CA signs one; agents are given the
CA's certificate (`pavo agent run --ca`).
"""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pavo.deploy.certificates.kept import Certificates
from pavo.deploy.certificates.parts import GATEWAY, gateway_certificate
from pavo.deploy.local import liveness
from pavo.deploy.local.components.pavo_process import PavoProcess
from pavo.deploy.local.machine.ports import LOOPBACK, next_free
from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.layout import Layout

CERTIFICATE: Final = "PAVO_GATEWAY_TLS_CERT_PATH"
KEY: Final = "PAVO_GATEWAY_TLS_KEY_PATH"
INSECURE: Final = "PAVO_GATEWAY_INSECURE"


def gateway_settings(layout: Layout) -> Mapping[str, str]:
    """What the deployment says of its gateway; before its first start, this shell."""
    kept = kept_settings.load(layout)
    values = setting_rules.of_shell(os.environ) if kept is None else kept.values
    return {name: value for name, value in values.items() if name.startswith("PAVO_GATEWAY_")}


def wanted_port(layout: Layout) -> int:
    """The port that agents are to find it on, if it is free."""
    told = gateway_settings(layout).get(setting_rules.GATEWAY_PORT, "")
    return int(told) if told.isdigit() and 0 < int(told) < 65_536 else setting_rules.DEFAULT_GATEWAY_PORT


def with_gateway(layout: Layout, ports: dict[str, int]) -> dict[str, int]:
    """The ports that a deployment keeps, with the gateway's: chosen anew where it has none yet, or another one is
    wanted."""
    named = setting_rules.GATEWAY_PORT in gateway_settings(layout)
    if "gateway" in ports and not (named and wanted_port(layout) != ports["gateway"]):
        return ports
    return {**ports, "gateway": next_free(wanted_port(layout), set(ports.values()))}


def certified_names(told: Mapping[str, str]) -> tuple[str, ...] | None:
    """The names that its certificate of the deployment's own CA is for, beside its own and this machine's; None where
    the operator brings a certificate, or TLS ends elsewhere.

    Args:
        told: the deployment's settings.
    """
    if told.get(CERTIFICATE) or _is_plain(told):
        return None
    host = told.get(setting_rules.GATEWAY_HOST, "") or LOOPBACK
    named = [each.strip() for each in told.get(setting_rules.GATEWAY_NAMES, "").split(",")]
    listens = [] if setting_rules.is_wildcard(host) else [host.strip("[]")]
    return tuple(dict.fromkeys(name for name in (*listens, socket.gethostname(), *named) if name))


def _is_plain(told: Mapping[str, str]) -> bool:
    return not told.get(CERTIFICATE) and told.get(INSECURE, "").lower() in ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class GatewayPlace:
    """Where agents find the gateway of a stack on this machine."""

    host: str
    """That it listens on."""
    port: int
    own: Certificates | None
    """The deployment's, with the gateway's among them; None where the operator brings one, or TLS ends elsewhere."""
    tls: bool

    @classmethod
    def of(cls, layout: Layout, port: int) -> "GatewayPlace":
        """As the deployment's settings have it."""
        told = gateway_settings(layout)
        host, names = told.get(setting_rules.GATEWAY_HOST, "") or LOOPBACK, certified_names(told)
        own = None if names is None else gateway_certificate(layout, names)
        return cls(host, port, own, not _is_plain(told))

    @property
    def address(self) -> str:
        """host:port at which this machine reaches it."""
        host = LOOPBACK if setting_rules.is_wildcard(self.host) else self.host
        return f"[{host}]:{self.port}" if ":" in host and not host.startswith("[") else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """As an agent is told it; of every address of this machine, by the machine's name."""
        shown = f"{socket.gethostname()}:{self.port}" if setting_rules.is_wildcard(self.host) else self.address
        return f"{'https' if self.tls else 'http'}://{shown}"

    @property
    def ca(self) -> str:
        """The file by which agents know it; empty where that is not the deployment's."""
        return str(self.own.trusted) if self.own is not None else ""

    def environment(self) -> dict[str, str]:
        """What `pavo gateway` is started with."""
        told = {setting_rules.GATEWAY_HOST: self.host, setting_rules.GATEWAY_PORT: str(self.port)}
        if self.own is None:
            return told
        file = str(self.own.of(GATEWAY))
        return {**told, CERTIFICATE: file, KEY: file}


class GatewayProcess(PavoProcess):
    """`pavo gateway`; the deployment's own certificate is made, or renewed, before each start.

    Args:
        now: of the certificates.
    """

    def __init__(
        self,
        layout: Layout,
        environment: Callable[[], Mapping[str, str]],
        place: GatewayPlace,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(layout, lambda: {**environment(), **place.environment()}, place.address)
        self.greeting = liveness.GRPC_OVER_TLS if place.tls else liveness.GRPC
        self._place, self._now = place, now

    def prepare(self) -> None:
        """Sign its certificate where that is missing, ends soon, or is for other names.

        Raises:
            ConfigurationError: the certificates cannot be read or written.
        """
        if self._place.own is not None:
            self._place.own.ensure(self._now())
