"""Restate, where its server (npm) and its Python SDK can be installed into the bench's own cache."""

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from bench.arms.base import Arm
from bench.http import Connection
from bench.proc import free_port, listens, until

CACHE = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "pavo-bench"


def restate_binary() -> Path | None:
    """The server, installed on first use; None where that is impossible."""
    folder = CACHE / "restate"
    found = sorted(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found and shutil.which("npm"):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        subprocess.run([*command, "@restatedev/restate-server"], check=False, timeout=180, capture_output=True)
        found = sorted(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    return found[0] if found else None


def absent() -> str | None:
    """Why this arm cannot run, or None."""
    for module in ("restate", "hypercorn"):
        if importlib.util.find_spec(module) is None:
            return f"the Python package {module} is not installed (dependency group bench)"
    return None if restate_binary() else "the npm package @restatedev/restate-server cannot be installed here"


class Restate(Arm):
    """Its defaults, one node, on its own folder."""

    name: ClassVar[str] = "restate"
    title: ClassVar[str] = "Restate"

    async def start(self) -> None:
        ingress, admin, node, service = (free_port() for _ in range(4))
        environment = {
            "RESTATE_BASE_DIR": str(self.group.folder / "restate"),
            "RESTATE_LOG_FILTER": "error",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_ADMIN__QUERY_ENGINE__PGSQL_BIND_ADDRESS": "127.0.0.1:0",
            "DO_NOT_TRACK": "1",
            "RESTATE_LISTEN_MODE": "tcp",
        }
        self.group.start([str(restate_binary())], env=environment, log="restate")
        self.group.start([sys.executable, "-m", "bench.arms.restate_app", str(service)], log="restate-service")
        for port in (admin, ingress, service):
            await until(lambda port=port: listens(port), seconds=30, what="Restate's start", logs=self.group)
        self._ingress = ingress
        end = time.monotonic() + 30
        while not await self._register(admin, service):
            if time.monotonic() > end:
                raise RuntimeError(f"Restate did not take the service\n{self.group.logs()}")
            await asyncio.sleep(0.1)
        self._idle: list[Connection] = []
        await asyncio.wait_for(self.burst(4, 2), 60)

    async def _register(self, admin: int, service: int) -> bool:
        body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
        head = (
            "POST /deployments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", admin)
        writer.write(head.encode() + body)
        answer = await reader.readline()
        writer.close()
        return b" 20" in answer

    async def burst(self, tasks: int, steps: int) -> None:
        await asyncio.gather(*(self._run(steps) for _ in range(tasks)))

    async def one(self, steps: int) -> float:
        start = time.perf_counter()
        await self._run(steps)
        return time.perf_counter() - start

    async def _run(self, steps: int) -> None:
        connection = self._idle.pop() if self._idle else Connection("127.0.0.1", self._ingress)
        await connection.request("POST", "/bench/run", steps)
        self._idle.append(connection)

    async def stop(self) -> None:
        for connection in self._idle:
            connection.close()
