"""TLS among containers, Temporal's and the gateway's: what each service is told, and the files that it is given.

Each container mounts a folder with its own certificate and the authority's, so that a file that is replaced is seen
inside. Containers run as users of their own: the files in these folders are readable for all, and no other user of the
host gets to them, for the folder around them is of mode 0700.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pavo.deploy.certificates.kept import OPERATOR, Certificates
from pavo.deploy.certificates.parts import GATEWAY, TEMPORAL

FOLDER: Final = "tls"
AT: Final = "/tls"
"""Where a container finds its own."""
REFRESH: Final = "30s"
OWN: Final = f"{AT}/own.pem"
"""Its certificate and key there."""
_CA: Final = f"{AT}/ca.pem"
_CLIENT: Final = {
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH": _CA,
    "TEMPORAL_TLS_CLIENT_CERT_PATH": OWN,
    "TEMPORAL_TLS_CLIENT_KEY_PATH": OWN,
}
ENVIRONMENT: Final[Mapping[str, Mapping[str, str]]] = {
    TEMPORAL: {
        "TEMPORAL_TLS_REFRESH_INTERVAL": REFRESH,
        "TEMPORAL_TLS_REQUIRE_CLIENT_AUTH": "true",
        "TEMPORAL_TLS_SERVER_CERT": OWN,
        "TEMPORAL_TLS_SERVER_KEY": OWN,
        "TEMPORAL_TLS_SERVER_CA_CERT": _CA,
        "TEMPORAL_TLS_INTERNODE_SERVER_NAME": TEMPORAL,
        "TEMPORAL_TLS_FRONTEND_CERT": OWN,
        "TEMPORAL_TLS_FRONTEND_KEY": OWN,
        "TEMPORAL_TLS_CLIENT1_CA_CERT": _CA,
        "TEMPORAL_TLS_CLIENT2_CA_CERT": _CA,
        "TEMPORAL_TLS_FRONTEND_SERVER_NAME": TEMPORAL,
    },
    "temporal-ui": {
        "TEMPORAL_TLS_CA": _CA,
        "TEMPORAL_TLS_CERT": OWN,
        "TEMPORAL_TLS_KEY": OWN,
        "TEMPORAL_TLS_SERVER_NAME": TEMPORAL,
        "TEMPORAL_TLS_ENABLE_HOST_VERIFICATION": "true",
    },
    "pavo": _CLIENT,
    "temporal-namespace": {"TEMPORAL_TLS": "true", **_CLIENT},
}
"""By service; `pavo` are all of Pavo's own. The server's are those of the configuration that is built into it."""
SHOWN_BY: Final = {
    TEMPORAL: TEMPORAL,
    "temporal-ui": "temporal-ui",
    "temporal-namespace": OPERATOR,
    "api": "api",
    "worker": "worker",
    GATEWAY: GATEWAY,
}
"""Whose certificate each service has."""
PLAIN_HEALTH: Final = """\
# The frontend answers a request, which it does not before it knows the other services and the database.
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:7243/api/v1/system-info"]"""
TLS_HEALTH: Final = """\
# The image has no client that shows a certificate. Whether the frontend answers, temporal-namespace waits to see.
      test: ["CMD", "nc", "-z", "127.0.0.1", "7233"]"""


def environment(service: str, indent: int) -> str:
    """Lines that follow another one of its environment."""
    return "".join(f'\n{" " * indent}{name}: "{value}"' for name, value in ENVIRONMENT[service].items())


def mount(service: str) -> str:
    """The volume of its certificates."""
    return f'"./{FOLDER}/{service}:{AT}:ro"'


def volumes(service: str) -> str:
    """The line of its volumes, for a service that has no line of its own without TLS."""
    scripts = '"./scripts:/pavo:ro", ' if service == "temporal-namespace" else ""
    return f"\n    volumes: [{scripts}{mount(service)}]"


def write_certificates(certificates: Certificates, folder: Path) -> list[Path]:
    """Copy what is new or changed to where the containers mount it; answers those files.

    Args:
        certificates: with TLS every service's, without it the gateway's alone.
    """
    root = folder / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    written: list[Path] = []
    for service, part in SHOWN_BY.items():
        if part not in certificates.parts:
            continue
        place = root / service
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
        for source, name in ((certificates.of(part), "own.pem"), (certificates.trusted, "ca.pem")):
            if _replace(place / name, source.read_bytes()):
                written.append(place / name)
    return written


def _replace(file: Path, data: bytes) -> bool:
    if file.exists() and file.read_bytes() == data:
        return False
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.chmod(0o644)
    draft.replace(file)
    return True
