"""Whether a part that got ready still answers: one that runs and says nothing is as bad as a dead one.

Asked is for a sign of life, not for health. A server that is full, recovers or has lost its own store says so, and a
restart would help nobody. So every part gets a greeting to which it says something whatever its state is, and any byte
counts, even a refusal.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass
from typing import Final, TypeAlias

from pavo.kit import cancellation
from pavo.kit.clock import wait_awake
from pavo.kit.processes import is_stopped

PAUSE_SECONDS = 1.5
"""Between two greetings of a part. With `SILENCE_SECONDS` it makes the 10 s within which silence is noticed."""
SILENCE_SECONDS = 8.0
"""Of waiting for the answer to one greeting. A part that is only slow, on the busiest machine, answers within."""
TICK_SECONDS = 0.5
AGAIN_SECONDS = 0.2
"""Before the next attempt while nothing listens."""

HTTP = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GRPC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""What every HTTP/2 client begins with, and no settings; the server says its own."""
POSTGRES = b"\0\0\0\x08\x04\xd2\x16\x2f"
"""SSLRequest. It is answered by one letter before the server looks whether it takes logins at the moment."""
POSTGRES_TLS = b"\0\0\0\x08\x04\xd2\x16\x30"
"""GSSENCRequest, answered the same way: a server with TLS would log each SSLRequest that nothing follows."""
REDIS = b"PING\r\n"
"""Refused without the password, which is an answer."""
TLS = bytes.fromhex("160301002d" + "01000029" + "0303" + "5a" * 32 + "00" + "0002c02b" + "0100")
"""The first message of a TLS 1.2 client that knows one cipher and no extension: accepted or refused, it is answered."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A greeting after a whole TLS handshake, for a server that writes each half one into its log."""

    text: bytes
    protocol: str
    """That both ends speak within TLS, as ALPN calls it."""


GRPC_OVER_TLS: Final = Encrypted(GRPC, "h2")
Greeting: TypeAlias = bytes | Encrypted
"""Said to a part; empty where its silence cannot be told."""


async def until_silent(address: str, greeting: Greeting) -> None:
    """Greet a part again and again; returns when it has been silent for `SILENCE_SECONDS`.

    Args:
        address: host:port that the part listens on.
    """
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        if not await heard(address, greeting):
            return


async def until_stopped(pid: int) -> None:
    """For a part that cannot be greeted: returns when a signal has kept it from running for `SILENCE_SECONDS`."""
    stopped = 0.0
    while stopped < SILENCE_SECONDS:
        before = time.monotonic()
        await asyncio.sleep(TICK_SECONDS)
        passed = min(time.monotonic() - before, 2 * TICK_SECONDS)
        stopped = stopped + passed if is_stopped(pid) else 0.0


async def heard(address: str, greeting: Greeting) -> bool:
    """Whether the part says anything to one greeting within `SILENCE_SECONDS` during which this process ran."""
    answer = asyncio.create_task(_answer(address, greeting))
    try:
        return bool(await wait_awake({answer}, SILENCE_SECONDS, TICK_SECONDS))
    finally:
        await cancellation.end(answer)


async def _answer(address: str, greeting: Greeting) -> None:
    """Returns when the part said something or closed the connection, which also takes somebody who lives."""
    host, _, port = address.rpartition(":")
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        except OSError:  # what this process lacks (descriptors, ports) says nothing of the part
            return
        try:
            if isinstance(greeting, Encrypted):
                await _exchange_encrypted(reader, writer, greeting)
            else:
                writer.write(greeting)
                await reader.read(1)
            return
        except ConnectionError:
            await asyncio.sleep(AGAIN_SECONDS)
        finally:
            writer.close()


async def _exchange_encrypted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: Encrypted) -> None:
    """Returns when the part answered, or refused. Whose certificate it shows is nobody's question here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([greeting.protocol])
    try:
        await writer.start_tls(context)
        writer.write(greeting.text)
        await reader.read(1)
    except (ssl.SSLError, ConnectionError):  # a refusal takes somebody who lives, too
        return
    finally:
        writer.transport.abort()  # a proper end of TLS would wait for the part's
