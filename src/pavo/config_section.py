"""What the sections of the settings share."""

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, cast

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

NOBODYS = "PAVO_BY_NAME_"
"""Where fields may be given by name, pydantic also reads variables of these names: PORT and HOST, which many shells and
platforms set. This prefix, which aliases do not get, makes them names that nobody sets."""


COMMANDS: Final = "PAVO_COMMANDS"
"""The programs that the agent `command` may run; it is read in agents' processes too."""

Place: TypeAlias = Annotated[Path | None, BeforeValidator(lambda path: path or None)]
"""A file or a folder; empty is none, for it would be the working folder."""


class Section(BaseSettings):
    """One part of the settings."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_prefix=NOBODYS)


def listed(text: str) -> tuple[str, ...]:
    """What an operator separates by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks as an operator writes them, separated by commas.

    Raises:
        ValueError: one of them is no network.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def parse_commands(text: str) -> Mapping[str, tuple[str, ...]]:
    """Programs with their arguments by name, as an operator writes them in JSON: {"crunch": ["/opt/crunch/run"]}.

    Raises:
        ValueError: it is something else; the text says what.
    """
    try:
        found: object = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise ValueError('it is no JSON: write {"NAME": ["/path/of/program", "argument"]}') from None
    if not isinstance(found, dict):
        raise ValueError('it is no object: write {"NAME": ["/path/of/program", "argument"]}')
    commands = cast(dict[str, Any], found)
    for name, command in commands.items():
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name):
            raise ValueError(f"{name[:80]!r} is no name: use up to 64 letters, digits and _.-")
        if not isinstance(command, list) or not command or not all(map(_is_argument, cast(list[object], command))):
            raise ValueError(f'{name} is no list of texts without NUL: write ["/path/of/program", "argument"]')
        if not command[0].startswith("/"):
            raise ValueError(f"{name}: the program {command[0][:80]!r} does not begin with /")
    return {name: tuple(command) for name, command in commands.items()}


def _is_argument(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value
