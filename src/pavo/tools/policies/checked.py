"""A policy as people give it, checked before anything is kept."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast, get_args

from pavo.agents.asking.question import KEY
from pavo.errors import InvalidInput
from pavo.kit.json_schema import wrong_with
from pavo.kit.json_values import NotStorable, plain
from pavo.tools.contract import Effect
from pavo.tools.policies.bounds import MAX_GLOB, MAX_NOTE, MAX_OF_TASK, MAX_SCHEMA_BYTES
from pavo.tools.policies.domain import TOOL_GLOB, Decision


def checked_values(given: Mapping[str, Any], *, field: str = "") -> dict[str, Any]:
    """The members that are given, as they are kept.

    Args:
        field: of whatever the policy is a part, such as `policies.0.`.

    Raises:
        InvalidInput: one of them is none; the error names it.
    """
    checks: Mapping[str, Any] = {
        "tool": _tool,
        "agent": _agent,
        "effect": _one_of(get_args(Effect), optional=True),
        "decision": _one_of(get_args(Decision), optional=False),
        "arguments": _arguments,
        "note": _note,
    }
    return {name: checks[name](value, f"{field}{name}") for name, value in given.items()}


def checked_of_task(policies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A task's own policies as they are kept: one that allows is an exception to its others, for they can only add to
    what its organisation says.

    Raises:
        InvalidInput: one is none.
    """
    if len(policies) > MAX_OF_TASK:
        remedy = f"Give {MAX_OF_TASK} at most; wildcards name several tools."
        raise InvalidInput(f"There are {len(policies)} policies.", field="policies", remedy=remedy)
    return [checked_values(each, field=f"policies.{number}.") for number, each in enumerate(policies)]


def _tool(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_GLOB or TOOL_GLOB.fullmatch(value) is None:
        _refuse(field, "This names no tools", f"Give a name, or one with * and ?; at most {MAX_GLOB} characters.")
    return value


def _agent(value: Any, field: str) -> str | None:
    if value is not None and (not isinstance(value, str) or KEY.fullmatch(value) is None):
        _refuse(field, "This is no agent's name", "See: pavo agents list")
    return value


def _one_of(values: Sequence[str], *, optional: bool) -> Any:
    def check(value: Any, field: str) -> str | None:
        if value not in values and not (optional and value is None):
            _refuse(field, f"{str(value)[:40]!r} is not known", f"Give one of: {', '.join(values)}.")
        return value

    return check


def _arguments(value: Any, field: str) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        schema, size = plain(value)
    except NotStorable as error:
        raise InvalidInput(f"This cannot be stored: {error}.", field=field, remedy=error.remedy) from error
    if size > MAX_SCHEMA_BYTES:
        _refuse(field, f"The schema has {size:,} bytes", f"Keep it under {MAX_SCHEMA_BYTES:,}.")
    if wrong := wrong_with(schema):
        _refuse(field, f"This is no JSON Schema: {wrong}", 'Give one for the arguments, with "properties".')
    return cast("dict[str, Any]", schema)


def _note(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTE or not value.isprintable():
        _refuse(field, "This is no note", f"Write one line of at most {MAX_NOTE} printable characters.")
    return value.strip()


def _refuse(field: str, wrong: str, remedy: str) -> NoReturn:
    raise InvalidInput(f"{wrong}.", field=field, remedy=remedy)
