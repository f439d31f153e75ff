"""What a secret of an organisation is, without its value."""

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from pavo.errors import InvalidInput, TooLarge

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}", re.ASCII)
"""How a secret's name is spelled: it stands in agents' classes, in addresses and in the log of changes."""
MAX_VALUE_BYTES: Final = 32_000
"""A private key with its certificates fits; what is larger is a file."""
MAX_SECRETS: Final = 200
"""Of one organisation."""
Change: TypeAlias = Literal["set", "removed"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as its organisation's owners see it: never its value."""

    name: str
    set_at: datetime
    set_by: str | None
    """Address of who set it; None: an operator, on the command line, or somebody who is gone."""
    key: str
    """Id of the key that seals it, in hex."""


@dataclass(frozen=True, slots=True)
class SecretChange:
    """Who set or removed a secret, and when."""

    name: str
    change: Change
    at: datetime
    by: str | None
    """As in `Secret`."""


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as it is kept."""

    organisation_id: uuid.UUID
    name: str
    sealed: bytes = field(repr=False)


def checked_name(name: str) -> str:
    """The name.

    Raises:
        InvalidInput: it is none.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:100]!r} is no name of a secret.",
            field="name",
            remedy="Use a letter, then at most 99 letters, digits and _ . - in ASCII.",
        )
    return name


def checked_value(value: str) -> str:
    """The value. What is said of it never repeats it.

    Raises:
        InvalidInput: it is empty, or no text.
        TooLarge: it is too large.
    """
    if not value or "\0" in value:
        raise InvalidInput("The value is empty, or has a NUL.", field="value", remedy="Give a text.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        told = "The value is no text in UTF-8."
        raise InvalidInput(told, field="value", remedy="Encode binary data, as in Base64.") from None
    if size > MAX_VALUE_BYTES:
        raise TooLarge(f"The value has {size:,} bytes.", field="value", remedy=f"Keep it under {MAX_VALUE_BYTES:,}.")
    return value
