"""Options of an agent, checked against its JSON Schema, defaults filled in."""

import copy
import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jsonschema.exceptions import ValidationError

from pavo.agents.contract import JSON
from pavo.errors import InvalidInput, TooLarge
from pavo.kit.json_schema import misfit
from pavo.kit.json_values import NotStorable, plain

logger = logging.getLogger(__name__)

FIELD = "agent_options"
MAX_OPTIONS_BYTES = 64_000
"""Options are settings; what an agent is to work on belongs in the prompt or the corpus."""
_MESSAGE_CHARACTERS = 300


def checked_options(agent_type: str, schema: Mapping[str, JSON], options: Mapping[str, JSON]) -> dict[str, JSON]:
    """The options with defaults filled in, nested objects that are given included.

    Raises:
        InvalidInput: they do not fit the schema; `field` names the option.
        TooLarge: they have more than MAX_OPTIONS_BYTES.
    """
    given, size = _checked_json(options)
    _check_size(size)
    # Once more with the defaults: they are the agent's, and nobody has looked at them.
    filled, _ = _checked_json(_with_defaults(schema, copy.deepcopy(given)))
    try:
        error = misfit(schema, filled)
    except RecursionError as deep:
        detail = "These options and their schema refer too deeply into each other."
        raise InvalidInput(detail, field=FIELD, remedy="Nest the options less.") from deep
    except Exception as broken:
        # A reference to nowhere, say: what only shows when it is applied.
        logger.exception("The options_schema of the agent %r cannot be applied.", agent_type)
        detail = f"The schema of the agent {agent_type!r} cannot be applied: {type(broken).__name__}: {broken}"
        raise InvalidInput(detail[:2000], field=FIELD, remedy="Have that agent's package repaired.") from broken
    if error is not None:
        raise _invalid(agent_type, error)
    return filled


def completed_options(schema: Mapping[str, JSON], stored: Mapping[str, JSON]) -> dict[str, JSON]:
    """Options that were stored earlier, with the defaults that the schema has got since. They are not judged again."""
    return cast("dict[str, JSON]", _with_defaults(schema, copy.deepcopy(dict(stored))))


def _checked_json(options: object) -> tuple[dict[str, JSON], int]:
    """The options as PostgreSQL will give them back, and their size in bytes."""
    if not isinstance(options, Mapping):
        raise InvalidInput("The agent's options are no object.", field=FIELD, remedy='Send {"name": value, …}.')
    given = dict(cast(Mapping[str, JSON], options))
    try:
        return plain(given)
    except NotStorable as error:
        field = _field([name for name in given if not _is_storable(name, given[name])][:1])
        raise InvalidInput(f"This cannot be stored: {error}.", field=field, remedy=error.remedy) from error


def _is_storable(name: object, value: JSON) -> bool:
    """Whether this option is not what cannot be stored. One whose name cannot be shown counts as storable: no error may
    name it."""
    try:
        plain([name, value])
    except NotStorable:
        return not isinstance(name, str) or not name.isprintable()
    return True


def _check_size(size: int) -> None:
    if size > MAX_OPTIONS_BYTES:
        raise TooLarge(
            f"The agent's options have {size:,} bytes, more than {MAX_OPTIONS_BYTES:,}.",
            field=FIELD,
            remedy="Put what the agent is to work on into the prompt or the corpus.",
        )


def _with_defaults(schema: JSON, value: JSON) -> JSON:
    if not isinstance(schema, Mapping) or not isinstance(value, dict):
        return value
    members = cast(dict[str, JSON], value)
    properties = cast(Mapping[str, Any], cast(Mapping[str, Any], schema).get("properties", {}))
    for name, described in properties.items():
        if name in members:
            members[name] = _with_defaults(described, members[name])
        elif isinstance(described, Mapping) and "default" in described:
            members[name] = copy.deepcopy(cast(Mapping[str, JSON], described)["default"])
    return members


def _invalid(agent_type: str, error: ValidationError) -> InvalidInput:
    path = [str(part) for part in error.absolute_path]
    look = f"`pavo agents show {agent_type}` lists the options."
    if error.validator == "additionalProperties":
        known, given = _known_and_given(error)
        unknown = next((name for name in given if name not in known), "")
        near = difflib.get_close_matches(unknown, known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        detail = f"The agent {agent_type!r} has no option {unknown[:100]!r}."
        return InvalidInput(detail, field=_field([*path, unknown]), remedy=hint + look)
    if error.validator == "required":
        _, given = _known_and_given(error)
        required = cast(Sequence[str], error.validator_value)
        missing = next((name for name in required if name not in given), "")
        detail = f"The agent {agent_type!r} needs the option {missing!r}."
        return InvalidInput(detail, field=_field([*path, missing]), remedy=look)
    message = error.message
    if len(message) > _MESSAGE_CHARACTERS:
        message = message[: _MESSAGE_CHARACTERS - 1] + "…"
    return InvalidInput(f"{message}.", field=_field(path), remedy=look)


def _known_and_given(error: ValidationError) -> tuple[Sequence[str], Sequence[str]]:
    """The options that the schema names at the place of the error, and those that were given there."""
    schema = cast(Mapping[str, Any], error.schema)
    return list(schema.get("properties", {})), list(cast(Mapping[str, Any], error.instance))


def _field(path: Sequence[str]) -> str:
    return ".".join([FIELD, *path])
