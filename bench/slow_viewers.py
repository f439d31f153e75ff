"""Viewers that never read: `python -m bench.slow_viewers PORT PATH COUNT --output FILE`, until it is ended.

Writes FILE.ready once all are connected.
"""

import argparse
import asyncio
import socket
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
    for _ in range(count):
        viewer = socket.socket()
        viewer.setblocking(False)
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        await loop.sock_connect(viewer, ("127.0.0.1", port))
        await loop.sock_sendall(viewer, hello)
        viewers.append(viewer)
    Path(f"{output}.ready").write_text(place)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m bench.slow_viewers")
    parser.add_argument("port", type=int)
    parser.add_argument("place")
    parser.add_argument("count", type=int)
    parser.add_argument("--output", type=Path, required=True)
    asyncio.run(main(**vars(parser.parse_args())))
