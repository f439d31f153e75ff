"""Temporal's programs for PostgreSQL: given, on the PATH, in the cache, or built from their Go modules."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pavo.deploy.model.progress import Say, say_nothing
from pavo.errors import ConfigurationError

SERVER, SQL_TOOL, UI = "temporal-server", "temporal-sql-tool", "temporal-ui-server"
MODULES = {
    SERVER: "go.temporal.io/server/cmd/server",
    SQL_TOOL: "go.temporal.io/server/cmd/tools/sql",
    UI: "github.com/temporalio/ui-server/v2/cmd/server",
}
BUILD_SECONDS = 1800.0
"""A first build downloads and compiles some hundred packages."""


@dataclass(frozen=True, slots=True)
class TemporalPrograms:
    """A server and the tool for its schema, of one version."""

    server: Path
    sql_tool: Path
    version: str
    source: str
    """given, PATH, cache or Go."""


def cache_folder() -> Path:
    """Where built programs are kept: $PAVO_CACHE_DIR, else under $XDG_CACHE_HOME or ~/.cache."""
    chosen = os.environ.get("PAVO_CACHE_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pavo"


def find_temporal(version: str, given: Path | None = None, say: Say = say_nothing) -> TemporalPrograms:
    """The server and the schema tool at exactly this version.

    Args:
        given: a folder with both; it must hold this version.
        say: told what takes long.

    Raises:
        ConfigurationError: they are nowhere, and cannot be built here.
    """
    if given is not None:
        return _from_folder(given, version)
    server, tool = shutil.which(SERVER), shutil.which(SQL_TOOL)
    if server and tool and version_of(Path(server)) == version:
        return TemporalPrograms(Path(server), Path(tool), version, "PATH")
    kept = cache_folder() / "temporal" / version
    source = "cache"
    for name in (SERVER, SQL_TOOL):
        if not (kept / name).exists():
            build(name, version, kept, say)
            source = "Go"
    return TemporalPrograms(kept / SERVER, kept / SQL_TOOL, version, source)


def _from_folder(folder: Path, version: str) -> TemporalPrograms:
    server, tool = folder / SERVER, folder / SQL_TOOL
    for program in (server, tool):
        if not os.access(program, os.X_OK):
            raise ConfigurationError(
                f"There is no program {program}.",
                field="--temporal-bin",
                remedy=f"Name a folder with {SERVER} and {SQL_TOOL}.",
            )
    found = version_of(server)
    if found != version:
        raise ConfigurationError(
            f"{server} is version {found}, not {version}.",
            field="--temporal-bin",
            remedy=f"Pass --temporal-version {found}, or the programs of {version}.",
        )
    return TemporalPrograms(server, tool, version, "given")


def find_ui(version: str, say: Say = say_nothing) -> Path | str:
    """Temporal's UI server, or why there is none: a stack works without it."""
    on_path = shutil.which(UI)
    if on_path:
        return Path(on_path)
    kept = cache_folder() / "temporal-ui" / version
    if not (kept / UI).exists():
        try:
            build(UI, version, kept, say)
        except ConfigurationError as error:
            return error.detail
    return kept / UI


def version_of(program: Path) -> str:
    """What `--version` says; empty when it says nothing."""
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False, timeout=20)
    words = done.stdout.split()
    return words[-1].removeprefix("v") if words else ""


def build(name: str, version: str, folder: Path, say: Say) -> None:
    """`go install` one program into `folder`; it appears there when it is complete.

    Raises:
        ConfigurationError: there is no Go, it is too old, or the module cannot be had.
    """
    go = shutil.which("go")
    if go is None:
        raise ConfigurationError(
            f"{name} {version} is not on the PATH, and there is no Go to build it with.",
            field="--temporal-bin",
            remedy=f"Install Go, or put {SERVER} and {SQL_TOOL} of Temporal {version} into a folder and name it with "
            "--temporal-bin.",
        )
    say(f"Building {name} {version} with Go, once; this takes some minutes.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as draft:
        environment = {**os.environ, "GOBIN": draft, "GOFLAGS": os.environ.get("GOFLAGS", "")}
        try:
            done = subprocess.run(
                [go, "install", f"{MODULES[name]}@v{version}"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=BUILD_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise _cannot_build(name, version, f"it took more than {BUILD_SECONDS:.0f} s") from error
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if not line.startswith("go: downloading")]
            raise _cannot_build(name, version, " ".join(errors)[-600:])
        built = Path(draft) / MODULES[name].rpartition("/")[2]
        built.rename(folder / name)


def _cannot_build(name: str, version: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} {version} cannot be built: {why}",
        field="--temporal-version",
        remedy="Choose a version whose module this Go can build (pavo deploy versions), a newer Go, or name ready "
        "programs with --temporal-bin.",
    )
