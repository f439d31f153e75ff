"""How much one client, and all of them, may take."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of connections, of what they send and of what they leave unread."""

    url_bytes: int = 8_192
    """Of a request's address; browsers and proxies keep to as much."""
    head_bytes: int = 32_768
    """Of a request's address and headers."""
    headers: int = 100
    head_seconds: float = 10.0
    """From the connection, or a request's first byte, to the end of the request's head."""
    body_seconds: float = 60.0
    """From there to the end of its body."""
    pipelined: int = 8
    """Requests of one connection that wait for the answers of those before."""
    send_seconds: float = 30.0
    """How long a client may take nothing of what is ready for it."""
    unsent_bytes: int = 64_000_000
    """Answers, streams aside, that all clients together have not taken yet."""
    untaken_bytes: int = 64_000_000
    """Of bodies that were sent to what does not read them, or not yet; of one connection the kernel's largest read."""
    connections: int = 5_500
    """Of the whole process: below its limit of open files."""
    per_address: int = 1_000
    """Of IPv6 those that share the first 64 bits are one."""
    proxies: Collection[str] = ("127.0.0.1", "::1")
    """Addresses that `per_address` does not hold for: many people come through a proxy."""
