"""Ports on loopback: free ones, and their addresses."""

import random
import socket

from pavo.errors import ConfigurationError, Unavailable

LOOPBACK = "127.0.0.1"
LOW, HIGH = 15_000, 32_000
"""Below the range from which kernels take outgoing connections' ports (32768 and up on Linux, 49152 on macOS): while a
part is being restarted, no client's connection can take its port."""


def on_loopback(port: int) -> str:
    """host:port on loopback."""
    return f"{LOOPBACK}:{port}"


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


KNOWN_OUTSIDE = ("api", "gateway")
"""Whose ports clients and remote agents know."""


def next_free(preferred: int, avoid: set[int] | None = None) -> int:
    """The preferred port, or the first free one after it, none of `avoid`."""
    for port in range(preferred, min(preferred + 200, 65_536)):
        if port not in (avoid or ()) and is_free(port):
            return port
    return free_port(avoid)


def replace_taken(ports: dict[str, int]) -> dict[str, int]:
    """The same ports, with new ones for those that another program has taken, but for those that are known
    outside."""
    outside = {port for name, port in ports.items() if name in KNOWN_OUTSIDE}
    kept = {
        name: port for name, port in ports.items() if name in KNOWN_OUTSIDE or (port not in outside and is_free(port))
    }
    taken = set(kept.values())
    for name in ports.keys() - kept.keys():
        kept[name] = free_port(taken)
        taken.add(kept[name])
    return kept


def refuse_taken(ports: dict[str, int]) -> None:
    """Refuse to start on ports that other programs have: the parts' ports are fixed, for clients and for Temporal.

    Raises:
        ConfigurationError: with the ports and their parts.
    """
    taken = {name: port for name, port in ports.items() if not is_free(port)}
    if taken:
        shown = ", ".join(f"{port} ({name})" for name, port in taken.items())
        raise ConfigurationError(
            f"These ports of the deployment are in use: {shown}.",
            field="PAVO_GATEWAY_PORT" if set(taken) == {"gateway"} else "--port",
            remedy="End what listens there (pavo deploy status, ss -ltnp), and start again.",
        )
