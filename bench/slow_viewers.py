"""Viewers that read nothing once they are connected: `python -m bench.slow_viewers PORT PATH COUNT --output FILE`,
until it is ended.

Writes FILE.ready once all are: how many seconds that took.
"""

import argparse
import asyncio
import socket
import time
from pathlib import Path

from bench.http import USER
from pavo.kit.open_files import allow_open_files

RECEIVE_BYTES = 4_096
"""Of a viewer's socket: the rest stays with the server."""


async def main(port: int, place: str, count: int, output: Path) -> None:
    """Connect all, say so, and read nothing."""
    head = "".join(f"{name}: {value}\r\n" for name, value in USER.items())
    hello = f"GET {place} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{head}\r\n".encode()
    loop = asyncio.get_running_loop()
    allow_open_files(count + 100)
    viewers: list[socket.socket] = []
    begun = time.monotonic()
    for _ in range(count):
        viewer = socket.socket()
        viewer.setblocking(False)
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        await loop.sock_connect(viewer, ("127.0.0.1", port))
        await loop.sock_sendall(viewer, hello)
        viewers.append(viewer)
    await asyncio.gather(*map(connected, viewers))
    Path(f"{output}.ready").write_text(f"{time.monotonic() - begun}")
    await asyncio.Event().wait()


async def connected(viewer: socket.socket) -> None:
    """Read until the stream has begun."""
    got = b""
    while b": connected" not in got:
        more = await asyncio.get_running_loop().sock_recv(viewer, RECEIVE_BYTES)
        if not more:
            raise RuntimeError(f"The stream did not begin: {got[:200]!r}")
        got += more


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m bench.slow_viewers")
    parser.add_argument("port", type=int)
    parser.add_argument("place")
    parser.add_argument("count", type=int)
    parser.add_argument("--output", type=Path, required=True)
    asyncio.run(main(**vars(parser.parse_args())))
