"""Free ports on loopback."""

import random
import socket

from pavo.errors import Unavailable

LOOPBACK = "127.0.0.1"
LOW, HIGH = 15_000, 32_000
"""Below the range from which kernels take outgoing connections' ports (32768 and up on Linux, 49152 on macOS): while a
part is being restarted, no client's connection can take its port."""


def is_free(port: int) -> bool:
    """Whether this process could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(avoid: set[int] | None = None) -> int:
    """A port that nobody listens on, none of `avoid`."""
    taken = avoid or set[int]()
    for _ in range(200):
        port = random.randrange(LOW, HIGH)
        if port not in taken and is_free(port):
            return port
    raise Unavailable("No free port was found on 127.0.0.1.", dependency="ports")


def next_free(preferred: int) -> int:
    """The preferred port, or the first free one after it."""
    for port in range(preferred, min(preferred + 200, 65_536)):
        if is_free(port):
            return port
    return free_port()
