"""The file that names MCP servers (`PAVO_MCP_CONFIG`), in the form in which other programs keep it too.

{"mcpServers": {"git": {"command": "mcp-server-git", "args": ["-r", "/srv/repo"], "effects": {"git_status": "read"}},
                "issues": {"url": "https://issues.example.com/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}}}}
"""

import os
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pavo.config import PAVO_SECRETS
from pavo.errors import ConfigurationError
from pavo.tools.contract import MAX_SECONDS, UNSAFE, Effect

SETTING: Final = "PAVO_MCP_CONFIG"
MAX_FILE_BYTES: Final = 1_000_000
MAX_SERVERS: Final = 100

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ServerSpec(BaseModel):
    """An MCP server: either a command, spoken with over its standard input and output, or a URL (streamable HTTP)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field("", exclude=True)
    type: Literal["stdio", "http", "streamable-http", None] = None
    """How it is spoken with; it follows from `command` or `url`, and other programs write it."""
    command: str | None = Field(None, min_length=1)
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    """Beside what programs need in general (PATH, HOME, LANG, proxies, certificates): nothing else of the worker's."""
    cwd: str | None = None
    url: str | None = Field(None, pattern=r"^https?://[^\s/]")
    headers: Mapping[str, str] = {}
    disabled: bool = False
    tools: tuple[str, ...] = ("*",)
    """Patterns of the tools that agents may call, in the server's own names."""
    effects: Mapping[str, Effect] = {}
    """What the tools do, by patterns of their names; the first that fits holds. What none names is `unsafe`."""
    annotations: Literal["ignored", "trusted"] = "ignored"
    """trusted: what `effects` does not name has the effect that the server says."""
    start_seconds: float = Field(30, gt=0, le=300)
    """For it to start and to list its tools."""
    call_seconds: float = Field(60, gt=0, le=MAX_SECONDS)
    """For one call."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "ServerSpec":
        if (self.command is None) == (self.url is None):
            raise ValueError("give it either a command or a url")
        if (self.type == "stdio") != (self.command is not None) and self.type is not None:
            raise ValueError(f"the type is {self.type}, and it has a {'command' if self.command else 'url'}")
        wrong = {"env", "args", "cwd"} if self.url else {"headers"}
        if stray := sorted(wrong & self.model_fields_set):
            raise ValueError(f"{', '.join(stray)} has no meaning for a {'url' if self.url else 'command'}")
        return self

    def offers(self, tool: str) -> bool:
        """Whether agents may call this tool of it."""
        return any(fnmatchcase(tool, each) for each in self.tools)

    def effect_of(self, tool: str, *, read_only: bool | None, idempotent: bool | None) -> Effect:
        """What a tool does, as the operator says; what the server says counts only where that is trusted."""
        for pattern, effect in self.effects.items():
            if fnmatchcase(tool, pattern):
                return effect
        if self.annotations == "trusted" and read_only is True:
            return "read"
        if self.annotations == "trusted" and idempotent is True:
            return "idempotent"
        return UNSAFE


def read_servers(path: Path, environment: Mapping[str, str] = os.environ) -> Sequence[ServerSpec]:
    """The servers of a file that are not disabled. `${NAME}` in it is a variable of the environment.

    Raises:
        ConfigurationError: it cannot be read, or is wrong; the text names the member.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
    except OSError as error:
        raise _wrong(f"{path} cannot be read: {error.strerror}.") from error
    if content is None:
        raise _wrong(f"{path} has more than {MAX_FILE_BYTES:,} bytes.")
    try:
        document: Any = orjson.loads(content)
    except ValueError as error:
        raise _wrong(f"{path} is no JSON: {error}.") from error
    servers = cast(Any, document).get("mcpServers") if isinstance(document, dict) else None
    if not isinstance(servers, dict):
        raise _wrong(f"{path}: there is no object mcpServers.")
    named = cast(dict[str, Any], servers)
    if len(named) > MAX_SERVERS:
        raise _wrong(f"{path} names {len(named)} servers: {MAX_SERVERS} at most.")
    found = [_spec(path, name, given, environment) for name, given in named.items()]
    return [spec for spec in found if not spec.disabled]


def _spec(path: Path, name: str, given: Any, environment: Mapping[str, str]) -> ServerSpec:
    place = f"{path}: mcpServers.{name[:100]}"
    if not _NAME.fullmatch(name):
        raise _wrong(f"{place}: name it with at most 20 of a-z, 0-9 and -, a letter first: tools' names begin with it.")
    if isinstance(given, dict) and "name" in given:
        raise _wrong(f"{place}.name: there is no such member.")
    try:
        spec = ServerSpec.model_validate(_filled(place, given, environment))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([place, *(str(part) for part in first["loc"])])
        raise _wrong(f"{where}: {first['msg'].removeprefix('Value error, ')}.") from error
    return spec.model_copy(update={"name": name})


def _filled(place: str, value: Any, environment: Mapping[str, str]) -> Any:
    """The value with its variables."""
    if isinstance(value, dict):
        members = cast(dict[str, Any], value)
        return {name: _filled(f"{place}.{name}", each, environment) for name, each in members.items()}
    if isinstance(value, list):
        return [_filled(place, each, environment) for each in cast(list[Any], value)]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        name = found[1]
        if name in PAVO_SECRETS:
            raise _wrong(f"{place}: {name} is Pavo's own, and no server gets it.")
        if name not in environment:
            raise _wrong(f"{place}: the environment has no variable {name}.")
        return environment[name]

    return _VARIABLE.sub(variable, value)


def _wrong(detail: str) -> ConfigurationError:
    return ConfigurationError(detail, field=SETTING, remedy=f"Correct that file, or unset {SETTING}.")
