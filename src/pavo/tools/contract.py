"""The contract of tools: what authors need.

A tool is a function with type hints and a docstring, found by an entry point of the group `pavo.tools`.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from pavo.agents.calling.functions import CallState as CallState
from pavo.agents.calling.functions import Effect as Effect
from pavo.artifacts.domain import ArtifactPart
from pavo.errors import ArtifactError, ToolFailed

F = TypeVar("F", bound=Callable[..., Any])

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

    async def artifact(self, which: str, offset: int, length: int) -> ArtifactPart:
        """A part of one of the task's own artifacts, by its name or id."""
        ...

    async def run_command(self, command: str, seconds: float) -> Any:
        """What became of a shell command in the task's workspace."""
        ...


class NoServices:
    """For contexts that are made by hand."""

    async def search_corpus(self, query: str, limit: int) -> Sequence[Any]:
        """Raises: there is none."""
        raise ToolFailed("There is no corpus here.", remedy="Give AgentTrial a double of the tool.")

    async def get(self, url: str) -> Any:
        """Raises: there is none."""
        raise ToolFailed("There is no web here.", remedy="Give AgentTrial a double of the tool.")

    async def artifact(self, which: str, offset: int, length: int) -> ArtifactPart:
        """Raises: there is none."""
        raise ToolFailed("There is no task here, and so no artifact.", remedy="Call it in a task.")

    async def run_command(self, command: str, seconds: float) -> Any:
        """Raises: there is none."""
        raise ToolFailed("There is no task here whose command it could be.", remedy="Call it in a task.")


@dataclass(frozen=True, slots=True)
class WorkspaceFile:
    """A file of a workspace."""

    path: str
    """Relative to the workspace, with slashes."""
    bytes: int


class Workspace(Protocol):
    """The folder in which a task works, as one call of a tool reaches it.

    Paths are relative to it, such as `src/main.py`; none leads out of it, and no link is followed. Every method raises
    `ArtifactError` where there is no such file, or the path is none.
    """

    def write(self, path: str, data: bytes | str) -> None:
        """Write a file, with the folders above it. It is kept in the same commit as the call's outcome, and is there
        in every later attempt, on whichever host; what else is in the folder may be gone then."""
        ...

    def read(self, path: str, offset: int = 0, length: int = 1024 * 1024) -> bytes:
        """A part of a file: at most `length` bytes and 1 MiB; empty at its end."""
        ...

    def size(self, path: str) -> int:
        """Bytes of a file."""
        ...

    def files(self, under: str = "", most: int = 10_000) -> Sequence[WorkspaceFile]:
        """The plain files below a folder of it, so many at most."""
        ...


class NoWorkspace:
    """For calls that belong to no task."""

    def write(self, path: str, data: bytes | str) -> None:
        """Raises: there is none."""
        raise self.refusal()

    def read(self, path: str, offset: int = 0, length: int = 1024 * 1024) -> bytes:
        """Raises: there is none."""
        raise self.refusal()

    def size(self, path: str) -> int:
        """Raises: there is none."""
        raise self.refusal()

    def files(self, under: str = "", most: int = 10_000) -> Sequence[WorkspaceFile]:
        """Raises: there is none."""
        raise self.refusal()

    def refusal(self) -> ArtifactError:
        """What is told."""
        return ArtifactError("There is no workspace here.", remedy="Set PAVO_ARTIFACTS_FOLDER, or PAVO_DATA_DIR.")


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool is told beside its arguments: it asks for it by a parameter of this type."""

    idempotency_key: str
    """The same whenever this call is made again; pass it on to whatever takes one."""
    task_id: uuid.UUID
    organisation_id: uuid.UUID
    services: ToolServices = field(default_factory=NoServices)
    """Pavo's own, for the tools that come with it; it may change with any version."""
    workspace: Workspace = field(default_factory=NoWorkspace)
    """The folder in which the task works; what a call writes there by this is kept."""


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
