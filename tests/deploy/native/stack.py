"""A native deployment, driven by its command as an operator would."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

from pavo.deploy.local.control import until_back
from pavo.deploy.local.machine.ports import free_port
from pavo.deploy.model.state import PartState, StackState, running

NEWEST, BEFORE, OLDEST = "1.32.1", "1.31.2", "1.30.7"
"""The pinned server, and two older minors; the schema differs between the last two."""
COMMAND_SECONDS = 300


def pavo(*words: str, data_dir: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command; its output is in the error when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pavo.cli.main", *words, "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )
    assert not check or done.returncode == 0, f"pavo {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


class Native:
    """What the drivers of the fault tests need of a stack, and the operator's commands."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.kills: dict[str, int] = {}

    def pavo(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return pavo(*words, data_dir=self.data_dir, check=check)

    async def command(self, *words: str) -> str:
        """The same beside running tasks; answers the output."""
        return (await asyncio.to_thread(self.pavo, *words)).stdout

    @property
    def state(self) -> StackState:
        state = running(self.data_dir)
        assert state is not None, "the deployment does not run"
        return state

    @property
    def api(self) -> str:
        return self.state.urls.api

    def part(self, name: str) -> PartState:
        return next(part for part in self.state.parts if part.name == name)

    async def sql(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of one statement in Pavo's database."""
        url = self.state.environment["DATABASE_URL"]
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5)
        async with connection:
            cursor = await connection.execute(query, arguments)  # pyright: ignore[reportArgumentType]
            return await cursor.fetchall() if cursor.description else []

    async def kill(self, name: str) -> None:
        """SIGKILL one part, and wait until its successor is ready."""
        part = self.part(name)
        assert part.pid is not None
        os.kill(part.pid, signal.SIGKILL)
        self.kills[name] = self.kills.get(name, 0) + 1
        await until_back(self.data_dir, part)

    def versions(self) -> dict[str, Any]:
        return json.loads(self.pavo("deploy", "status", "-o", "json").stdout)


@asynccontextmanager
async def deployed(root: Path, *options: str) -> AsyncGenerator[Native]:
    """`pavo deploy start` and, at the end, `destroy`; its logs are told when something failed."""
    root.parent.chmod(0o755)
    native = Native(root)
    words = ("deploy", "start", "--target", "native", "--port", str(free_port()), "--auto-approve", *options)
    # Others start beside this one, and each would take the first port that is free.
    with patch.dict(os.environ, {"PAVO_GATEWAY_PORT": str(free_port())}):
        await asyncio.to_thread(native.pavo, *words)
    try:
        yield native
    except BaseException:
        for log in sorted((root / "logs").glob("*.log")):
            sys.stderr.write(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:]) + "\n")
        raise
    finally:
        with contextlib.suppress(AssertionError):
            await asyncio.to_thread(native.pavo, "deploy", "destroy", "--auto-approve")
