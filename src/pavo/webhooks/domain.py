"""What a webhook is: its address, its messages and how they are signed, when a message is tried again. Pure.

Messages follow https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import json
import random
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from pavo.errors import InvalidInput
from pavo.kit.clock import iso


class EventType(StrEnum):
    """What a webhook can be told of."""

    STAGE_CHANGED = "task.stage_changed"
    WAITING = "task.waiting"
    """A task waits for a person; `reason` says for what."""
    DELETED = "task.deleted"
    JOB_STAGE_CHANGED = "job.stage_changed"
    JOB_QUEUED = "job.queued"
    """These four with the change of the stage, for those who want them alone."""
    JOB_DONE = "job.done"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_WAITING = "job.waiting"
    """A job waits for a person; `reason` says for what."""
    JOB_DELETED = "job.deleted"
    DISABLED = "webhook.disabled"
    """Another webhook of the organisation is told nothing any more."""


TEST_TYPE: Final = "webhook.test"
"""Sent on demand, whatever a webhook is told of otherwise."""

DELAYS: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
"""Seconds until a message is tried again after its 1st, 2nd, … failure; the last holds for all that follow."""
REST: Final = (2.0, 5.0, 15.0, 60.0, 300.0)
"""Seconds that a receiver is left alone after so many failures in a row: one that is away costs little, and one that
comes back is found within five minutes."""
LONGEST_WAIT: Final = 3600.0
"""Seconds that a receiver may ask to be left alone (Retry-After)."""
GIVE_UP_AFTER: Final = timedelta(days=3)
"""A message that could not be delivered for so long is given up, and a receiver that has taken nothing is disabled.
Longer than a weekend."""
KEPT: Final = timedelta(days=30)
"""How long the log goes back."""

MAX_URL: Final = 2_000
MAX_DESCRIPTION: Final = 200
SECRET_PREFIX: Final = "whsec_"
MAX_SECRETS: Final = 4
"""Valid at once: the newest and those that rotations have left for a while."""
LONGEST_OVERLAP: Final = timedelta(days=7)
OVERLAP: Final = timedelta(days=1)
"""How long a secret goes on counting after a rotation, by default."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver, without its secrets, which nobody can read again."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    url: str
    description: str
    events: tuple[str, ...]
    enabled: bool
    created_at: datetime
    failures: int
    failing_since: datetime | None
    delivered_at: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    waiting: int
    """Messages that are not delivered yet."""
    secrets: int
    """Valid at the moment: two while a rotation's overlap lasts."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for one webhook, as the log shows it."""

    id: uuid.UUID
    webhook_id: uuid.UUID
    type: str
    data: Mapping[str, Any]
    created_at: datetime
    state: str
    attempts: int
    attempted_at: datetime | None
    next_attempt_at: datetime | None
    seconds: float | None
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this process has to send now, and what it needs for it."""

    id: uuid.UUID
    webhook_id: uuid.UUID
    attempt: int
    url: str
    secrets: Sequence[str]
    """The newest first."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended."""

    seconds: float
    status: int | None = None
    error: str | None = None
    """None: the receiver took it."""
    retry_after: float | None = None
    """Seconds that the receiver asked to wait."""

    @property
    def gone(self) -> bool:
        """Whether the receiver wants to hear nothing any more (HTTP 410)."""
        return self.status == 410


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is not delivered yet."""

    messages: int
    oldest_seconds: float
    """0 where there is none."""


def parse_url(url: str, *, plain_http: bool) -> SplitResult:
    """Read the address of a receiver.

    Raises:
        InvalidInput: it is no address that is sent to.
    """
    if len(url) > MAX_URL:
        raise _bad_url(f"It has more than {MAX_URL} characters.")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise _bad_url("It has characters that no URL has: write them percent-encoded, a host name as xn--….")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_url(f"{error}.") from error
    if parts.scheme != "https" and not (plain_http and parts.scheme == "http"):
        raise _bad_url("It must begin with https://, for what is sent crosses the internet.")
    if not host or port == 0:
        raise _bad_url("It names no host.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _bad_url("It may have neither user and password nor a fragment (#…).")
    return parts


def _bad_url(detail: str) -> InvalidInput:
    return InvalidInput(
        f"This address cannot be used. {detail}", field="url", remedy="Give one like https://example.com/hooks/pavo."
    )


def new_secret() -> str:
    """A new signing secret: the prefix, then 256 random bits as base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature of a message: HMAC-SHA256 over its id, the time of the attempt and its body."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(message: Claimed, timestamp: int) -> dict[str, str]:
    """What tells the receiver who sent it, which message it is, and when it was sent; signed by each valid secret."""
    message_id = str(message.id)
    signed = (signature(secret, message_id, timestamp, message.body) for secret in message.secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signed),
    }


def body(type_: str, created_at: datetime, number: int, data: Mapping[str, Any]) -> bytes:
    """The message as JSON, the same at each attempt. `sequence` rises from message to message of one task or job."""
    message = {"type": type_, "timestamp": iso(created_at), "data": {**data, "sequence": number}}
    return json.dumps(message, separators=(",", ":"), sort_keys=True).encode()


def delay(failures: int, steps: Sequence[float], asked: float | None = None) -> float:
    """Seconds to wait after so many failures (from 1), spread so that many do not come at once."""
    planned = steps[min(failures, len(steps)) - 1] * random.uniform(0.8, 1.2)
    return max(planned, min(asked or 0.0, LONGEST_WAIT))
