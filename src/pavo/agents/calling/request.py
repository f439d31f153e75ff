"""A call of a tool as an agent makes it, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol, TypeAlias, cast

from pavo.agents.asking.question import KEY, Question
from pavo.errors import AgentRefused
from pavo.kit.json_values import NotStorable, fingerprint, plain

JSON: TypeAlias = Any

MAX_ARGUMENT_BYTES: Final = 256_000
"""Of all arguments of a call together: they are kept with it."""
READ_ARTIFACT: Final = "read_artifact"
"""The tool of Pavo's by which models read on a result that was shortened."""


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """One call of a tool."""

    tool: str
    arguments: Mapping[str, JSON]
    key: str | None = None
    """What the agent calls it; None: it is known by where it stands."""
    identity: str = ""
    """Names the call within its task and plan: the same in every attempt. Its host gives it."""

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the arguments."""
        return fingerprint(dict(self.arguments))

    def at(self, place: int | str, number: int) -> str:
        """Its identity: the key, else where it stands.

        Args:
            place: how many checkpoints are recorded.
            number: how many calls of the same tool with the same arguments were made since the last of them.
        """
        return f"key:{self.key}" if self.key is not None else f"{place}/{self.tool}/{self.hash}/{number}"


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What came of a call: a value, an error, or a question to people that has to be answered first."""

    value: JSON = None
    error: str | None = None
    remedy: str | None = None
    refused: bool = False
    """The call is none, or a person said to stop: trying again is useless."""
    asks: Question | None = None
    denied: bool = False
    """A person or a policy said no: the error says who and why."""


class Tools(Protocol):
    """The tools that a task's agent may call."""

    async def described(self) -> Sequence[Mapping[str, JSON]]:
        """Those that there are now: `name`, `description`, `effect` and `schema` of each, by name."""
        ...

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """Call it, or answer what was recorded.

        Raises:
            Unavailable: it cannot be recorded.
        """
        ...


class NoTools:
    """For contexts that are made by hand, and for all but `execute`."""

    async def described(self) -> Sequence[Mapping[str, JSON]]:
        """None."""
        return ()

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """Raises: there are none."""
        raise AgentRefused(f"No tool can be called here, such as {request.tool!r}.", remedy="Call it in execute().")


def checked_request(tool: object, arguments: object, key: object) -> ToolRequest:
    """The call as it will be made.

    Raises:
        AgentRefused: it breaks the contract; the text names the argument.
    """
    if not isinstance(tool, str) or not KEY.fullmatch(tool):
        _refuse("tool", f"{str(tool)[:100]!r} is no name of a tool", "Look at the list of tools.")
    if key is not None and (not isinstance(key, str) or not KEY.fullmatch(key)):
        _refuse("key", f"{str(key)[:100]!r} is no key", "Use at most 100 letters, digits and _ . : / - in ASCII.")
    if not isinstance(arguments, Mapping):
        _refuse("args", f"{type(arguments).__name__} where an object belongs", "Give a dict of the tool's arguments.")
    try:
        given, size = plain(dict(cast(Mapping[str, Any], arguments)))
    except NotStorable as error:
        _refuse("args", str(error), error.remedy)
    if size > MAX_ARGUMENT_BYTES:
        _refuse("args", f"they have {size:,} bytes", f"Keep them under {MAX_ARGUMENT_BYTES:,}.")
    return ToolRequest(tool, given, key)


def _refuse(argument: str, wrong: str, remedy: str) -> NoReturn:
    raise AgentRefused(f"call(): {argument}: {wrong}.", field=argument, remedy=remedy)
