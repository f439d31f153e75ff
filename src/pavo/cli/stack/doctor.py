"""`pavo doctor`: what is missing or wrong on this machine, and the remedy."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.text import Text

from pavo.cli.output import Output, Printer, console, say
from pavo.cli.parameters import layout_of
from pavo.deploy.certificates.judge import judge_tls
from pavo.deploy.certificates.kept import kept_certificates
from pavo.deploy.local.components.wheels import postgres_home, redis_server, temporal_server
from pavo.deploy.local.machine.ports import is_free
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import running
from pavo.errors import ConfigurationError
from pavo.kit.extras import require
from pavo.observe.printable import printable_line

LEAST_FREE_BYTES = 2_000_000_000
PORT = 8000


def doctor(*, data_dir: Path | None = None, output: Output = "text") -> int:
    """Check this machine for the embedded stack; exit code 1 when something is wrong.

    Args:
        data_dir: the data directory that is meant.
    """
    folder = layout_of(data_dir).root
    checks: dict[str, Callable[[], str]] = {
        "Python": _python,
        "Platform": _platform,
        "PostgreSQL": lambda: str(postgres_home(unprivileged())),
        "Valkey": lambda: str(redis_server()),
        "Temporal": lambda: str(temporal_server()),
        "Web server": _web_server,
        "Data directory": lambda: _writable(folder),
        "Disk": lambda: _disk(folder),
        "Port": lambda: _port(folder),
        "Isolated agents": lambda: _isolated_agents(folder),
        "TLS": lambda: _tls(folder),
        "MCP servers": _mcp_servers,
    }
    found = [_run(name, check) for name, check in checks.items()]
    ok = all(check["ok"] for check in found)
    Printer(output).show({"checks": found, "ok": ok}, lambda: _print(found))
    return 0 if ok else 1


def _print(found: Sequence[Mapping[str, str | bool | None]]) -> None:
    for check in found:
        mark = ("✓", "green") if check["ok"] else ("✗", "red")
        console().print(
            Text.assemble(mark, f" {check['name']:<16}{printable_line(str(check['detail']))}"), soft_wrap=True
        )
        if check["remedy"]:
            say(f"  → {check['remedy']}")


def _run(name: str, check: Callable[[], str]) -> dict[str, str | bool | None]:
    try:
        return {"name": name, "ok": True, "detail": check(), "remedy": None}
    except ConfigurationError as error:
        return {"name": name, "ok": False, "detail": error.detail, "remedy": error.remedy}


def _python() -> str:
    return f"{platform.python_version()} at {sys.executable}"


def _platform() -> str:
    system, libc = platform.system(), platform.libc_ver()[0]
    if system == "Darwin" or (system == "Linux" and libc == "glibc"):
        return f"{system} {platform.machine()}"
    raise ConfigurationError(
        f"The embedded servers are not built for {system} {libc or '(musl?)'} on {platform.machine()}.",
        remedy="Run PostgreSQL, Redis and Temporal yourself, and pavo api and pavo worker against them.",
    )


def _web_server() -> str:
    require("The API", "server")
    import fastapi
    import uvicorn

    return f"FastAPI {fastapi.__version__}, uvicorn {uvicorn.__version__}"


def _writable(folder: Path) -> str:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{existing} is not writable.", remedy="Choose another one with --data-dir.")
    return str(folder)


def _disk(folder: Path) -> str:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        raise ConfigurationError(f"{free // 10**6} MB are free.", remedy="Free 2 GB, or choose another --data-dir.")
    return f"{free // 10**9} GB free"


def _port(folder: Path) -> str:
    if running(folder):
        return "the stack runs"
    if not is_free(PORT):
        raise ConfigurationError(f"Port {PORT} is taken.", remedy="pavo up takes the next free one, or pass --port.")
    return f"{PORT} is free"


def _tls(folder: Path) -> str:
    """How the parts of the deployment there speak with each other; wrong where a certificate ends soon."""
    found = judge_tls(Layout(folder), datetime.now(UTC))
    if found is None:
        return "see the files of the deployment"
    if found.status == "fail" or (found.status == "warn" and kept_certificates(Layout(folder))):
        raise ConfigurationError(found.detail, remedy=found.remedy)
    return found.detail


def _isolated_agents(folder: Path) -> str:
    """Which level of confinement holds here, tried in a process that is thrown away."""
    from pavo import config
    from pavo.agents.confinement.confining import REMEDY, wanted_confinement
    from pavo.agents.confinement.levels import probe
    from pavo.agents.confinement.task_folders import TaskFolders

    settings = config.load().agents.model_copy(update={"data_dir": folder})
    wanted, root = wanted_confinement(settings)
    with tempfile.TemporaryDirectory(prefix="pavo-doctor-") as scratch:
        Path(scratch).chmod(0o711)  # the users that agents may be pass it
        level = probe(TaskFolders(Path(scratch) / "agents"), sys.path, wanted, root)
    if not level.meets(wanted.mode):
        detail = f"No isolated agent would run: this machine does not give PAVO_AGENT_CONFINEMENT={wanted.mode}"
        raise ConfigurationError(f"{detail} ({level.missing}).", remedy=f"{REMEDY}.")
    return level.words


def _mcp_servers() -> str:
    """Each is started, asked for its tools, and ended."""
    from pavo import config

    path = config.load().tools.mcp_config
    if path is None:
        return "none is named"
    # Imported here: a client alone has nothing that calls tools.
    from pavo.tools.mcp.servers import McpServers
    from pavo.tools.mcp.servers_file import SETTING, read_servers

    specs = read_servers(path)
    if not specs:
        return "none is named"
    servers = McpServers(specs)
    servers.start()
    found = servers.tried()
    servers.close()
    told = ", ".join(f"{each.name}: {each.detail or f'{each.tools} tools'}" for each in found)
    if any(each.state != "up" for each in found):
        raise ConfigurationError(told, field=SETTING, remedy=f"Look at those servers, or correct {path}.")
    return told
