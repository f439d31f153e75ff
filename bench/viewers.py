"""Many viewers in one process: raw sockets, the clock read on receipt, everything else after the end.

`python -m bench.viewers sse PORT PATH COUNT --output FILE` or `… pubsub PORT CHANNEL COUNT --output FILE`.
Writes FILE.ready once all are connected, and at the end a latency in milliseconds per line.
"""

import argparse
import asyncio
import re
import time
from datetime import datetime
from pathlib import Path
from typing import cast

import uvloop

from bench.http import USER

_AT = re.compile(rb'"at": ?"?([0-9T:.+Z-]+)')


class Viewer(asyncio.Protocol):
    """One viewer; keeps what it got and when."""

    def __init__(self, hello: bytes, ready: bytes, last: bytes, done: asyncio.Semaphore) -> None:
        self._hello, self._ready, self._last, self._done = hello, ready, last, done
        self.ready = asyncio.Event()
        self.got: list[tuple[float, bytes]] = []
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._hello)

    def data_received(self, data: bytes) -> None:
        self.got.append((time.time(), data))
        if not self.ready.is_set() and self._ready in data:
            self.ready.set()
        if self._last in data:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._done.release()

    def latencies(self) -> list[float]:
        """Milliseconds of every tick, by its own `at`."""
        found: list[float] = []
        for received, data in self.got:
            for line in data.splitlines():
                if b'"tick"' in line and (match := _AT.search(line)):
                    found.append((received - _seconds(match[1].decode())) * 1000)
        return found


def _seconds(at: str) -> float:
    return float(at) if at.replace(".", "").isdigit() else datetime.fromisoformat(at).timestamp()


async def main(kind: str, port: int, place: str, count: int, output: Path, password: str) -> None:
    """Connect all, say so, wait for the end, write."""
    if kind == "sse":
        head = "".join(f"{name}: {value}\r\n" for name, value in USER.items())
        hello = f"GET {place} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{head}\r\n".encode()
        ready, last = b": connected", b'"stage":"DONE"'
    else:
        login = f"*2\r\n$4\r\nAUTH\r\n${len(password)}\r\n{password}\r\n" if password else ""
        hello = f"{login}*2\r\n$9\r\nSUBSCRIBE\r\n${len(place)}\r\n{place}\r\n".encode()
        ready, last = b"subscribe", b"\r\nend\r\n"
    done = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    viewers: list[Viewer] = []
    for _ in range(count):
        viewer = (await loop.create_connection(lambda: Viewer(hello, ready, last, done), "127.0.0.1", port))[1]
        viewers.append(viewer)
    await asyncio.wait_for(asyncio.gather(*(viewer.ready.wait() for viewer in viewers)), 60)
    Path(f"{output}.ready").write_text(place)
    for _ in range(count):
        await asyncio.wait_for(done.acquire(), 120)
    output.write_text("\n".join(f"{value:.3f}" for viewer in viewers for value in viewer.latencies()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m bench.viewers")
    for name, kind in (("kind", str), ("port", int), ("place", str), ("count", int)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--password", default="")
    uvloop.run(main(**vars(parser.parse_args())))
