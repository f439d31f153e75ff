"""Which of several API processes on one port answered: from the kernel's table of sockets (Linux)."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.deploy.native.stack import Native
from tests.faults.drive import HEADERS
from tests.observe.reading import samples


@dataclass(frozen=True)
class Answer:
    """What one process answered on a connection of its own."""

    pid: int
    task: dict[str, Any]
    answered: float
    """How many such requests this very process says that it has answered."""


def ask(native: Native, task: str) -> Answer:
    """A task's view over a new connection, then on the same connection what its process counted."""
    place = urlsplit(native.api)
    assert place.hostname and place.port
    connection = HTTPConnection(place.hostname, place.port, timeout=20)
    try:
        view = json.loads(_get(connection, f"/api/tasks/{task}"))
        counted = samples(_get(connection, "/metrics").decode())
        ours = connection.sock.getsockname()[1]
        processes = [part.pid for part in native.state.parts if part.name.startswith("api") and part.pid]
        inode = _server_side(place.port, ours)
        pid = next(pid for pid in processes if inode in _sockets(pid))
    finally:
        connection.close()
    wanted = 'pavo_http_requests_total{method="GET",route="/api/tasks/{task_id}",status="200"}'
    return Answer(pid, view, counted[wanted])


def _get(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers=HEADERS)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return body


def _server_side(port: int, client: int) -> str:
    """The inode of the server's end of a connection on loopback."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (local, remote) == (port, client):
            return fields[9]
    raise AssertionError(f"no connection from {client} to {port}")


def _sockets(pid: int) -> set[str]:
    """The inodes of the sockets that a process holds."""
    found: set[str] = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    return found
