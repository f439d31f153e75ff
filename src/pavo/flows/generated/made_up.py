"""Values that fit the schemas of a flow, made up: so that it can be tried where nobody has written cases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from pavo.flows.cases import Case, WrittenFake
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.reference_checks import output_schema
from pavo.flows.definition.written import JsonSchema, WrittenStep

NAME: Final = "with made-up values"
MAX_DEPTH: Final = 6
MAX_MEMBERS: Final = 50
"""Of one object."""
MAX_LENGTH: Final = 200
"""Of a text."""
_TEXT: Final = "text"


def made_up_case(definition: Definition) -> Case:
    """A run in which whatever is declared is there: inputs, outputs, and what people answer (yes, where they may)."""
    flow = definition.flow
    inputs = {name: value_of(schema) for name, schema in flow.inputs.items() if "default" not in schema}
    said = {name: output_schema(step) for name, step in flow.steps.items() if _says(step)}
    fakes = {name: WrittenFake(output=value_of(schema)) for name, schema in said.items()}
    return Case(name=NAME, inputs=inputs, fakes=fakes)


def _says(step: WrittenStep) -> bool:
    return step.output is not None or (step.gate is not None and bool(step.gate.form))


def value_of(schema: JsonSchema, depth: int = 0) -> Any:
    """One that fits, as far as that can be said without solving the schema."""
    if "const" in schema:
        return schema["const"]
    for name in ("enum", "examples"):
        if isinstance(schema.get(name), Sequence) and schema[name]:
            return schema[name][0]
    for name in ("anyOf", "oneOf", "allOf"):
        ways: Any = schema.get(name)
        if isinstance(ways, list) and ways and isinstance(ways[0], Mapping) and depth < MAX_DEPTH:
            return value_of(cast(JsonSchema, ways[0]), depth + 1)
    make = _MAKERS.get(_type_of(schema))
    return None if make is None else make(schema, depth)


def _type_of(schema: JsonSchema) -> str:
    given: Any = schema.get("type")
    if isinstance(given, list):
        given = next((each for each in cast("list[Any]", given) if each != "null"), "null")
    if isinstance(given, str):
        return given
    return "object" if "properties" in schema else "array" if "items" in schema else ""


def _object(schema: JsonSchema, depth: int) -> Any:
    members: Any = schema.get("properties")
    if not isinstance(members, Mapping) or depth >= MAX_DEPTH:
        return {}
    known = list(cast("Mapping[str, Any]", members).items())[:MAX_MEMBERS]
    return {name: value_of(_schema(each), depth + 1) for name, each in known}


def _schema(value: object) -> JsonSchema:
    return cast(JsonSchema, value) if isinstance(value, Mapping) else {}


def _array(schema: JsonSchema, depth: int) -> Any:
    items: Any = schema.get("items")
    if schema.get("maxItems") == 0 or not isinstance(items, Mapping) or depth >= MAX_DEPTH:
        return []
    return [value_of(cast(JsonSchema, items), depth + 1)]


def _string(schema: JsonSchema, depth: int) -> Any:
    least: Any = schema.get("minLength")
    return _TEXT.ljust(min(least, MAX_LENGTH), "x") if isinstance(least, int) else _TEXT


def _number(schema: JsonSchema, depth: int) -> Any:
    least, most = schema.get("minimum"), schema.get("maximum")
    if isinstance(least, int | float) and least > 1:
        return least
    return most if isinstance(most, int | float) and most < 1 else 1


def _boolean(schema: JsonSchema, depth: int) -> Any:
    return True


_MAKERS: Final[Mapping[str, Callable[[JsonSchema, int], Any]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": _boolean,
}
