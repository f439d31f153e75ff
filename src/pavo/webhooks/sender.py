"""One message to one receiver: over a connection to an address that was checked, bounded in bytes and seconds.

A receiver is foreign: whatever it does (hangs, floods, redirects, sends garbage) ends as an `Outcome`. Where the
connection goes `kit.outgoing` judges. Redirects are not followed. Of an answer its head is read, at most `HEAD_BYTES`,
and never its body.
"""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult

from pavo import __version__
from pavo.errors import InvalidInput
from pavo.kit.outgoing.addresses import Network
from pavo.kit.outgoing.connecting import Connector, Unreachable
from pavo.webhooks.domain import Outcome, parse_url

logger = logging.getLogger(__name__)

HEAD_BYTES: Final = 16_384
"""Of an answer: its status line and headers."""
INTERIM_ANSWERS: Final = 3
"""Answers of status 1xx before the one that counts."""
RESOLVERS: Final = 128
"""Threads that ask name servers: four for each attempt of a process at once, which ends after ten seconds, its thread
after half a minute."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r)")
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*(\d{1,6})[ \t]*\r\n", re.IGNORECASE)


class _Failed(Exception):
    """The attempt failed for a reason that the webhook's owner should read."""


class Sender:
    """Sends messages from the running event loop.

    Args:
        allowed: networks that are not public and may be reached nevertheless, also without TLS.
        seconds: for one attempt, from the name's resolution to the head of the answer.
    """

    def __init__(self, allowed: Sequence[Network], seconds: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._connector = Connector(allowed, "PAVO_WEBHOOK_NETWORKS", resolvers=RESOLVERS)

    def close(self) -> None:
        """End the resolvers; one that still waits for a name server is not waited for."""
        self._connector.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Make one attempt; only a cancellation is raised."""
        begun = time.monotonic()
        status, retry_after, error = None, None, None
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after = await self._exchange(url, headers, body)
            error = _complaint(status)
        except TimeoutError:
            error = f"There was no answer within {self._seconds:g} s."
        except (_Failed, Unreachable, InvalidInput) as failed:
            error = str(failed)
        except ssl.SSLCertVerificationError as failed:
            error = f"Its certificate is not accepted: {failed.verify_message}."
        except asyncio.IncompleteReadError:
            error = "It closed the connection without an answer."
        except asyncio.LimitOverrunError:
            error = f"The head of its answer has more than {HEAD_BYTES} bytes."
        except OSError as failed:
            error = f"The connection failed: {failed.strerror or type(failed).__name__}."
        except Exception as failed:
            logger.exception("A webhook could not be sent because of a fault of Pavo's own")
            error = f"Pavo could not send it: {type(failed).__name__}."
        return Outcome(time.monotonic() - begun, status, error, retry_after)

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None]:
        parts = parse_url(url, plain_http=bool(self._allowed))
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        reader, writer = await self._connector.connect(parts.hostname or "", port, secure=secure, limit=HEAD_BYTES)
        try:
            writer.write(_request(parts, headers, body))
            await writer.drain()
            return await _answer(reader)
        finally:
            # Not closed in order: who does not read must not keep a connection of ours.
            writer.transport.abort()


def _request(parts: SplitResult, headers: Mapping[str, str], body: bytes) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", f"User-Agent: pavo/{__version__}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float | None]:
    """Status and Retry-After of the answer."""
    for _ in range(INTERIM_ANSWERS + 1):
        head = await reader.readuntil(b"\r\n\r\n")
        found = _STATUS.match(head)
        if found is None:
            raise _Failed("Its answer is no HTTP.")
        status = int(found[1])
        if status >= 200:
            after = _RETRY_AFTER.search(head)
            return status, float(after[1]) if after else None
    raise _Failed("It answers with interim statuses only.")


def _complaint(status: int) -> str | None:
    """Why this status means that the message was not taken; None where it was."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"It answered {status}, a redirect, which is not followed: give the address where it really is."
    return f"It answered {status}."
