"""Text of requests: what PostgreSQL could not store is refused, with the name of its field."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode (it has a lone surrogate)") from error
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Text: TypeAlias = Annotated[str, AfterValidator(_storable)]
"""What every text in the body or the query of a request is."""
FilledText: TypeAlias = Annotated[Text, AfterValidator(_not_blank)]
