"""The gateway to remote agents among containers: where the host publishes it, and whose certificate it shows.

In its container it always listens on the same address. What `pavo.env` says of host and port is the host's, as it is of
a gateway that runs there without containers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pavo.deploy.certificates.kept import Certificates
from pavo.deploy.certificates.parts import CLIENTS, GATEWAY, TEMPORAL, certificates_of, gateway_certificate
from pavo.deploy.local.components.gateway_process import CERTIFICATE, KEY, certified_names
from pavo.deploy.local.machine.ports import LOOPBACK
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.setting_rules import DEFAULT_GATEWAY_PORT, GATEWAY_HOST, GATEWAY_PORT
from pavo.deploy.orchestrated import compose_tls
from pavo.errors import ConfigurationError

IN_CONTAINER: Final = frozenset({GATEWAY_HOST, GATEWAY_PORT, CERTIFICATE, KEY})
"""What the container is told by itself: it says nothing of the host."""


@dataclass(frozen=True, slots=True)
class ComposeGateway:
    """What the deployment's settings say of its gateway."""

    host: str = LOOPBACK
    """The host's address that it is published on."""
    port: int = DEFAULT_GATEWAY_PORT
    names: tuple[str, ...] | None = ()
    """More names that its certificate of the deployment's own CA is for; None where the operator brings a certificate,
    or TLS ends elsewhere."""

    @classmethod
    def of(cls, told: Mapping[str, str]) -> "ComposeGateway":
        """As the settings in `pavo.env` have it.

        Raises:
            ConfigurationError: they name a port that is none.
        """
        port = told.get(GATEWAY_PORT, "") or str(DEFAULT_GATEWAY_PORT)
        if not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ConfigurationError(
                f"{port!r} is no port that the gateway can be published on.",
                field=GATEWAY_PORT,
                remedy="Write 1 to 65535 into pavo.env, or take the line out: it is 7443 then.",
            )
        return cls(told.get(GATEWAY_HOST, "").strip("[]") or LOOPBACK, int(port), certified_names(told))

    @property
    def published(self) -> str:
        """host:port on the host."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def pieces(self, *, tls: bool) -> dict[str, str]:
        """What its service gets at each place of the file; `tls`: it shows Temporal a certificate too."""
        told = f'\n      {CERTIFICATE}: "{compose_tls.OWN}"\n      {KEY}: "{compose_tls.OWN}"'
        return {
            "gateway_published": self.published,
            "gateway_certificate": told if self.names is not None else "",
            "gateway_volumes": compose_tls.volumes(GATEWAY) if tls or self.names is not None else "",
        }

    def certificates(self, layout: Layout, *, tls: bool) -> Certificates | None:
        """Those of the deployment's own CA that its containers are given; `tls`: they and Temporal know each other by
        them."""
        if not tls:
            return None if self.names is None else gateway_certificate(layout, self.names)
        clients = CLIENTS if self.names is not None else (*CLIENTS, GATEWAY)
        return certificates_of(layout, [TEMPORAL], self.names, clients=clients)
