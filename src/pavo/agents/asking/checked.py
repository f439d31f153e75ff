"""A question as an agent asks it, checked before anything is done with it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn, cast

from pavo.agents.asking.question import (
    JSON,
    KEY,
    MAX_ANSWER_BYTES,
    MAX_CHOICES,
    MAX_EXPIRY_SECONDS,
    MAX_QUESTION_BYTES,
    Question,
)
from pavo.errors import AgentRefused
from pavo.kit.json_values import NotStorable, plain

Given = tuple[object, object, object, object, object]
"""Key, text, choices, schema and expiry."""


def checked_question(given: Given, default: JSON, *, has_default: bool) -> Question:
    """The question as it will be asked.

    Raises:
        AgentRefused: it breaks the contract; the text names the argument.
    """
    key, text, choices, schema, expires = given
    if not isinstance(key, str) or not KEY.fullmatch(key):
        _refuse("key", f"{key!r} is no key", "Use at most 100 letters, digits and _ . : / - in ASCII.")
    if not isinstance(text, str) or not text.strip():
        _refuse("question", "it is empty, or no text", "Say what people are to answer.")
    told = _checked_choices(choices)
    if schema is not None and (told or not isinstance(schema, Mapping)):
        _refuse("schema", "it is no object, or there are choices too", "Give a JSON Schema, or choices, or neither.")
    shown, size = _json({"text": text, "choices": list(told), "schema": schema}, "question")
    if size > MAX_QUESTION_BYTES:
        _refuse("question", f"it has {size:,} bytes with choices and schema", f"Keep it under {MAX_QUESTION_BYTES:,}.")
    value, size = _json(default, "default")
    if size > MAX_ANSWER_BYTES:
        _refuse("default", f"it has {size:,} bytes", f"Keep it under {MAX_ANSWER_BYTES:,}.")
    seconds = _seconds(expires)
    if has_default and seconds is None:
        _refuse("default", "it answers once the question has expired, which it never does", "Give expires too.")
    if has_default and told and value not in told:
        _refuse("default", "it is none of the choices", "Give one of them.")
    return Question(key, shown["text"], tuple(shown["choices"]), shown["schema"], seconds, value, has_default)


def _checked_choices(choices: object) -> tuple[str, ...]:
    if choices is None:
        return ()
    if not isinstance(choices, Sequence) or isinstance(choices, str | bytes):
        _refuse("choices", "they are no list", f"Give at most {MAX_CHOICES} texts.")
    given = tuple(cast(Sequence[object], choices))
    if len(given) > MAX_CHOICES:
        _refuse("choices", f"there are {len(given)}", f"Give at most {MAX_CHOICES} texts.")
    if not all(isinstance(each, str) and each for each in given) or len(set(given)) != len(given):
        _refuse("choices", "one is empty, no text, or there twice", "Give different texts.")
    return cast(tuple[str, ...], given)


def _seconds(expires: object) -> float | None:
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MAX_EXPIRY_SECONDS:
        _refuse("expires", f"{expires!r} is no time to wait", "Give seconds, or a timedelta, of at most ten years.")
    return float(seconds)


def _json(value: Any, argument: str) -> tuple[Any, int]:
    try:
        return plain(value)
    except NotStorable as error:
        _refuse(argument, str(error), error.remedy or "Give plain JSON.")


def _refuse(argument: str, wrong: str, remedy: str) -> NoReturn:
    raise AgentRefused(f"ask(): {argument}: {wrong}.", field=argument, remedy=remedy)
