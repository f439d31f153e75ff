"""What a session needs of the way on which it speaks with a server."""

import asyncio
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

ANSWER_TOO_LARGE: Final = -32_950
NOT_SENT: Final = -32_951
"""Codes of errors that Pavo's side makes; what a server itself sends under them is taken for its answer."""

CALL_META: Final = "pavo/idempotencyKey"
"""The member of a call's `_meta` that has its idempotency key."""


@dataclass(frozen=True, slots=True)
class Transport:
    """A pair of streams of `mcp`'s messages."""

    received: Any
    sending: Any
    ended: "asyncio.Future[str]"
    """Why there is no connection any more."""
    too_large: AbstractSet[str] = field(default_factory=frozenset[str])
    """Idempotency keys of calls whose answers were too large."""
    not_sent: AbstractSet[str] = field(default_factory=frozenset[str])
    """Of calls that found no connection."""
