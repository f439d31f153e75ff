"""The contract of tools: what authors need.

A tool is a function with type hints and a docstring, found by an entry point of the group `pavo.tools`.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

from pavo.errors import ToolFailed

F = TypeVar("F", bound=Callable[..., Any])

Effect: TypeAlias = Literal["read", "idempotent", "unsafe"]
CallState: TypeAlias = Literal["done", "failed", "unknown", "denied"]
"""How a call ended; denied: it never began."""
READ: Final = "read"
"""It changes nothing: it may run any number of times."""
IDEMPOTENT: Final = "idempotent"
"""Running it again with the same idempotency key, or the same arguments, changes nothing more."""
UNSAFE: Final = "unsafe"
"""Running it twice does it twice. What a tool does not say is this."""

DEFAULT_SECONDS: Final = 60.0
MAX_SECONDS: Final = 3600.0
MARK: Final = "__pavo_tool__"


class HappenedUnknown(Exception):
    """Raised by a tool that cannot tell whether what it was to do has happened, such as after a lost connection.

    Of an `unsafe` tool people are asked then; it is not run again by itself.
    """


class ToolServices(Protocol):
    """What the tools that come with Pavo use of it."""

    async def search_corpus(self, query: str, limit: int) -> Sequence[Any]:
        """Documents of the organisation."""
        ...

    async def get(self, url: str) -> Any:
        """A page of the web."""
        ...


class NoServices:
    """For contexts that are made by hand."""

    async def search_corpus(self, query: str, limit: int) -> Sequence[Any]:
        """Raises: there is none."""
        raise ToolFailed("There is no corpus here.", remedy="Give AgentTrial a double of the tool.")

    async def get(self, url: str) -> Any:
        """Raises: there is none."""
        raise ToolFailed("There is no web here.", remedy="Give AgentTrial a double of the tool.")


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool is told beside its arguments: it asks for it by a parameter of this type."""

    idempotency_key: str
    """The same whenever this call is made again; pass it on to whatever takes one."""
    task_id: uuid.UUID
    organisation_id: uuid.UUID
    services: ToolServices = field(default_factory=NoServices)
    """Pavo's own, for the tools that come with it; it may change with any version."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the decorator says of a function."""

    effect: Effect = UNSAFE
    seconds: float = DEFAULT_SECONDS


def tool(*, effect: Effect = UNSAFE, seconds: float = DEFAULT_SECONDS) -> Callable[[F], F]:
    """Say what calling a function does.

    Args:
        effect: `read`, `idempotent` or `unsafe`.
        seconds: for so long it may run; what lasts longer is given up, with an error.
    """

    def mark(function: F) -> F:
        setattr(function, MARK, Declared(effect, seconds))
        return function

    return mark
