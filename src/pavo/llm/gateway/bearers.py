"""Who shows a token of the gateway, of whichever kind of run, and what that kind does about a call."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Protocol

from pavo.errors import Conflict
from pavo.gates.domain import Subject
from pavo.llm.calls import Holds
from pavo.llm.telling import ToldTries
from pavo.usage.domain import Payer

PREFIX: Final = "pavo-gw-"
"""Of each token, so that what finds secrets in texts knows it."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who shows a token."""

    subject: Subject
    epoch: int
    place: str
    """What is under way."""
    is_good: bool
    """Whether the attempt lasts."""
    hash: bytes
    payer: Payer
    holds: Holds
    """One call of a token at a time: each looks for its number among the equal ones before it."""


class Relayed(ToldTries, Protocol):
    """Passes on what a model says to whoever watches the run."""

    def end(self, *, came: bool) -> None:
        """The call is over; whether an answer came."""
        ...


class Bearers(Protocol):
    """The tokens of one kind of run."""

    @property
    def over(self) -> Conflict:
        """What is told to whoever shows a token of an attempt that is over."""
        ...

    async def find(self, token: str) -> Bearer | None:
        """Whose the token is; None: nobody's of this kind."""
        ...

    def relay(self, bearer: Bearer, request_hash: str) -> Relayed | None:
        """What passes an answer on to viewers; None: nobody sees it while it is made."""
        ...


def new_token() -> str:
    """A token that nobody guesses."""
    return f"{PREFIX}{secrets.token_urlsafe(32)}"


def hash_of(token: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
