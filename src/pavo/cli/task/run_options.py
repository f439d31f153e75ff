"""The prompt and the agent's options that `pavo run` is given."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pavo.errors import InvalidInput


def options_of(pairs: Sequence[str]) -> dict[str, Any]:
    """An agent's options from "K=V": V is JSON if it can be read as JSON, else text.

    Raises:
        InvalidInput: a pair has no "=" or no name, or its value cannot be sent.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"{pair!r} is no option.", field="--option", remedy="Write it as NAME=VALUE.")
        found[name.strip()] = _option(name.strip(), value)
    return found


def _option(name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise InvalidInput(
            f"The option {name} holds a number that is none, or half a character (\\ud800 … \\udfff).",
            field="--option",
            remedy="Write its value in proper JSON or as text.",
        ) from error
    return value


def prompt_of(path: Path | None) -> str:
    """The text of the prompt's file; of standard input if that is "-".

    Raises:
        InvalidInput: it cannot be read, or is not UTF-8.
    """
    if path is None:
        return ""
    try:
        return (Path("/dev/stdin") if str(path) == "-" else path).read_text("utf-8")
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise InvalidInput(f"{path}: {reason}.", field="--prompt", remedy="Name a file with text.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8.", field="--prompt", remedy="Name a file with text.") from error
