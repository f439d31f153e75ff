"""What the command line and the environment may say: values that can be sent, stored and printed."""

import os
from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter, validators

from pavo.errors import ConfigurationError

HIGHEST_PORT: Final = 65_535

Port: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=HIGHEST_PORT))]
"""A command's parameter for a port; 0 takes a free one."""


Lines: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=0))]
"""A command's parameter for a number of lines."""


def is_text(word: str) -> bool:
    """Whether it has no surrogates, as which Python hands down bytes that are no UTF-8."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(word: str) -> str:
    """The word with what is no text in it as \\xff."""
    return word.encode(errors="surrogateescape").decode(errors="backslashreplace")


def header_from(variable: str) -> str | None:
    """An environment variable that becomes an HTTP header; None where it is not set.

    Raises:
        ConfigurationError: it holds what no header can: a line break or other control characters, or no UTF-8.
    """
    value = os.environ.get(variable)
    if value is not None and (not is_text(value) or any(ord(letter) < 32 or ord(letter) == 127 for letter in value)):
        raise ConfigurationError(
            f"{variable} holds a line break, another control character, or no UTF-8.",
            field=variable,
            remedy=f"Set it without: {variable}=$(… | tr -d '\\r\\n')",
        )
    return value
