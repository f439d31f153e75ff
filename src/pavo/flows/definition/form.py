"""A document in the form of a flow: each member that is none told with its place and a remedy."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from pavo.flows.definition.problems import MAX_PROBLEMS, Path, Problem, WrongDefinition, did_you_mean
from pavo.flows.definition.reading import Document
from pavo.flows.definition.written import AGENT, NAME, REPOSITORY, STEP_ID, VERSIONED, WrittenFlow

_M = TypeVar("_M", bound=BaseModel)
_BY_PATTERN: Final = {
    NAME: ("is no name", "Use a-z, 0-9, _ and -, a letter first, at most 63 characters."),
    STEP_ID: ("is no name", "Use a-z, 0-9 and _, a letter first, at most 63 characters."),
    AGENT: ("is no name of an agent", "Use letters, digits and _ . -, at most 100 characters."),
    REPOSITORY: ("is no name of a repository", "Write it as `pavo repo list` shows it, such as acme/site."),
    VERSIONED: ("names no version", "Write NAME@MAJOR, such as crm.get@2."),
}
SCHEMA_ID: Final = "https://json-schema.org/draft/2020-12/schema"


@cache
def json_schema(model: type[BaseModel] = WrittenFlow) -> Mapping[str, Any]:
    """The published schema of a flow's file (draft 2020-12), or of another file's form."""
    return {"$schema": SCHEMA_ID, **model.model_json_schema(by_alias=True)}


def form_of(document: Document, model: type[_M]) -> _M:
    """What it says in this form.

    Raises:
        WrongDefinition: it has another one; all problems are told.
    """
    if not isinstance(document.value, dict):
        known = ", ".join(each for each in json_schema(model)["properties"] if not each.startswith("$"))
        raise WrongDefinition([Problem((), "it is no object", f"Give it {known}.", document.places.of(()))])
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        wrong = islice(error.errors(include_url=False), 3 * MAX_PROBLEMS)  # alternatives that all fail tell each
        found = [_problem(document, json_schema(model), each) for each in wrong]
    raise WrongDefinition(_most_telling(found))


def _problem(document: Document, schema: Mapping[str, Any], error: Mapping[str, Any]) -> Problem:
    value, given = document.value, error.get("input")
    path = _path(value, error["loc"])
    shown = f"{given!r:.80}"
    match error["type"]:
        case "extra_forbidden":
            name, known = str(path[-1]), _members_at(schema, path[:-1])
            told = f"{name!r} is not known here", did_you_mean(name, known, f"There are {', '.join(known)}.")
        case "missing":
            told = f"{error['loc'][-1]!r} is missing", "Give it."
        case "string_pattern_mismatch":
            what, remedy = _BY_PATTERN.get(error["ctx"]["pattern"], ("is not taken", "Look at the schema."))
            told = f"{shown} {what}", remedy
        case "value_error":
            wrong, _, remedy = str(error["msg"]).removeprefix("Value error, ").partition(": ")
            told = wrong, f"{remedy[:1].upper()}{remedy[1:]}." if remedy else "Correct it."
        case _:
            told = f"{shown} is not taken: {_of_json(str(error['msg']))}", "Correct it."
    return Problem(path, *told, document.places.of(path))


def _of_json(message: str) -> str:
    message = message.replace("a valid dictionary", "an object").replace("valid string", "text").replace("valid ", "")
    return message[:1].lower() + message[1:]


def _path(value: Any, loc: Sequence[str | int]) -> Path:
    """The part of an error's place that is of the document, not of the model; a name that lacks is left out."""
    path: list[str | int] = []
    for each in loc:
        if isinstance(value, dict) and isinstance(each, str) and each in value:
            value = cast(dict[str, Any], value)[each]
        elif isinstance(value, list) and isinstance(each, int) and each < len(cast(list[Any], value)):
            value = cast(list[Any], value)[each]
        else:
            continue
        path.append(each)
    return tuple(path)


def _most_telling(problems: Sequence[Problem]) -> list[Problem]:
    """One for each place, and none for a place that holds another's: alternatives that all fail tell each."""
    found = {each.path: each for each in reversed(problems)}
    holding = {path[:length] for path in found for length in range(len(path))}
    deepest = [each for path, each in found.items() if path not in holding or "is missing" in each.message]
    return sorted(deepest, key=lambda each: (each.place.line, each.place.column))


def _members_at(whole: Mapping[str, Any], path: Path) -> list[str]:
    """Names that an object there may have."""
    ways: list[Any] = [whole]
    for each in path:
        ways = [follow for way in ways for follow in _followed(whole, _resolved(whole, way), each)]
    found = [one for way in ways for one in _alternatives(whole, _resolved(whole, way))]
    return sorted({name for one in found for name in one.get("properties", ())})


def _followed(whole: Mapping[str, Any], schema: Mapping[str, Any], member: str | int) -> list[Any]:
    found: list[Any] = []
    for one in _alternatives(whole, schema):
        if isinstance(member, int):
            found.append(one.get("items", {}))
        else:
            found.append(one.get("properties", {}).get(member) or _of_any_name(one))
    return found


def _of_any_name(schema: Mapping[str, Any]) -> Any:
    patterns: list[Any] = list(schema.get("patternProperties", {}).values())
    return patterns[0] if patterns else schema.get("additionalProperties")


def _alternatives(whole: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [_resolved(whole, each) for each in schema.get("anyOf", ())] or [schema]


def _resolved(whole: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    found = cast(Mapping[str, Any], schema if isinstance(schema, Mapping) else {})
    name = str(found.get("$ref", "")).removeprefix("#/$defs/")
    return cast(Mapping[str, Any], whole["$defs"][name]) if name else found
