"""What the sections of the settings share."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

NOBODYS = "PAVO_BY_NAME_"
"""Where fields may be given by name, pydantic also reads variables of these names: PORT and HOST, which many shells and
platforms set. This prefix, which aliases do not get, makes them names that nobody sets."""


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
