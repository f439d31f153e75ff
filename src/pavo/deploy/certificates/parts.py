"""Which parts of a stack get a certificate, and how each is told of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pavo.deploy.certificates.kept import OPERATOR, Certificates
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError

if TYPE_CHECKING:
    from temporalio.client import TLSConfig

TEMPORAL: Final = "temporal"
"""The frontend's name in its certificate, and the part's."""
GATEWAY: Final = "gateway"
"""The gateway to remote agents, which shows them a certificate and Temporal the same one."""
CLIENTS: Final = ("temporal-ui", "api", "worker", OPERATOR)
"""Who shows a certificate and listens with none."""
HERE: Final = ("localhost", "127.0.0.1")


def certificates_of(
    layout: Layout, servers: Iterable[str], gateway: Iterable[str] | None = None, *, clients: Iterable[str] = CLIENTS
) -> Certificates:
    """The certificates of a deployment whose `servers` speak TLS; each is good for the part's name and this machine.

    Args:
        gateway: the names by which agents call the gateway; None where it has a certificate of the operator's, or none.
    """
    hosts: dict[str, Sequence[str]] = {
        **{name: (name, *HERE) for name in servers},
        **{name: (name,) for name in clients},
    }
    if gateway is not None:
        hosts[GATEWAY] = (GATEWAY, *HERE, *(name for name in gateway if name not in HERE))
    return Certificates(layout, hosts)


def gateway_certificate(layout: Layout, names: Iterable[str]) -> Certificates:
    """The gateway's alone, by the same authority."""
    return certificates_of(layout, (), names, clients=())


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """What a client of Temporal's frontend shows and trusts."""

    trusted: Path
    own: Path
    """Certificate and key."""

    @classmethod
    def of(cls, certificates: Certificates, part: str) -> "ClientFiles":
        """Those of one part."""
        return cls(certificates.trusted, certificates.of(part))

    def environment(self) -> dict[str, str]:
        """In the variables that Pavo's processes, and Temporal's own tools, read."""
        return {
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(self.trusted),
            "TEMPORAL_TLS_CLIENT_CERT_PATH": str(self.own),
            "TEMPORAL_TLS_CLIENT_KEY_PATH": str(self.own),
        }

    def config(self) -> "TLSConfig":
        """For a connection that is made now.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        from temporalio.client import TLSConfig

        try:
            own = self.own.read_bytes()
            return TLSConfig(server_root_ca_cert=self.trusted.read_bytes(), client_cert=own, client_private_key=own)
        except OSError as error:
            raise ConfigurationError(
                f"The deployment's certificates cannot be read: {error}.",
                field="--data-dir",
                remedy="Run this as the user of the deployment.",
            ) from error
