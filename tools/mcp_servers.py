"""Real MCP servers for the tests, in places of their own: their requirements are not Pavo's.

    python tools/mcp_servers.py                        # installs all of them

What is installed stays in build/mcp-servers.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

WORK: Final = Path(__file__).parent.parent / "build" / "mcp-servers"
INSTALL_SECONDS: Final = 90
PYPI: Final[Mapping[str, str]] = {"mcp-server-time": "2026.10.19", "mcp-server-git": "2026.10.19"}
NPM: Final[Mapping[str, tuple[str, str]]] = {
    "mcp-server-everything": ("@modelcontextprotocol/server-everything", "2026.8.31"),
    "mcp-server-filesystem": ("@modelcontextprotocol/server-filesystem", "2026.8.31"),
}


class NotToBeHad(Exception):
    """A server cannot be installed here."""


def program(name: str) -> str:
    """Where the server's program is; it is installed first.

    Raises:
        NotToBeHad: that is not possible here.
    """
    return _of_pypi(name) if name in PYPI else _of_npm(name)


def _of_pypi(name: str) -> str:
    place = WORK / name
    uv = str(Path(sys.executable).with_name("uv"))
    wanted = f"{name}=={PYPI[name]}"
    python = str(place / "bin" / "python")
    _install(
        place / "bin" / name,
        (uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place)),
        (uv, "pip", "install", "--quiet", "--python", python, wanted),
    )
    return str(place / "bin" / name)


def _of_npm(name: str) -> str:
    package, version = NPM[name]
    place = WORK / name
    found = place / "node_modules" / ".bin" / name
    _install(found, ("npm", "install", "--silent", "--no-audit", "--prefix", str(place), f"{package}@{version}"))
    return str(found)


def _install(found: Path, *commands: Sequence[str]) -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    for command in [] if found.exists() else commands:
        if shutil.which(command[0]) is None:
            raise NotToBeHad(f"there is no {command[0]} here")
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            raise NotToBeHad(f"{' '.join(command)}: {error}") from error
    if not found.exists():
        raise NotToBeHad(f"there is no {found}")


if __name__ == "__main__":
    for each in (*PYPI, *NPM):
        print(program(each))
