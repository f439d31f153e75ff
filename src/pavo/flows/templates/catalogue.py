"""The templates that come with Pavo, and filling one.

Each is three files in `files/`: what it is and its parameters, the flow, and the flow's cases. In the last two
`<<NAME>>` stands for a parameter.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pavo.errors import InvalidInput, NotFound
from pavo.flows.definition.fitting import unfit
from pavo.flows.definition.form import form_of
from pavo.flows.definition.problems import did_you_mean
from pavo.flows.definition.reading import read
from pavo.flows.definition.written import NAME, JsonSchema

FILES: Final = Path(__file__).parent / "files"
NAMED: Final = "flow"
"""The placeholder of the flow's own name."""
_SUFFIX: Final = ".template.yaml"
_PLACEHOLDER: Final = re.compile(r"<<([a-z]+)>>")
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@/-]*")


class _Described(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(min_length=1, max_length=1_000)]
    parameters: Mapping[str, JsonSchema]


@dataclass(frozen=True, slots=True)
class Template:
    """A pattern of a flow."""

    name: str
    title: str
    description: str
    parameters: Mapping[str, JsonSchema]
    """By name, each with its JSON Schema; one without a `default` must be given."""
    flow: str
    """YAML, with placeholders."""
    cases: str
    """The same, of `flows.cases`."""

    @property
    def schema(self) -> JsonSchema:
        """Of all parameters: a form."""
        required = [name for name, schema in self.parameters.items() if "default" not in schema]
        return {
            "type": "object",
            "properties": dict(self.parameters),
            "required": required,
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class Filled:
    """A template with its parameters."""

    flow: str
    cases: str


@cache
def templates() -> Mapping[str, Template]:
    """All, by name."""
    return {each.name: each for each in map(_template, sorted(FILES.glob(f"*{_SUFFIX}")))}


def _template(file: Path) -> Template:
    name = file.name.removesuffix(_SUFFIX)
    described = form_of(read(file.read_bytes()), _Described)
    flow, cases = ((FILES / f"{name}.{each}.yaml").read_text("utf-8") for each in ("flow", "cases"))
    return Template(name, described.title, described.description, described.parameters, flow, cases)


def template_named(name: str) -> Template:
    """One of them.

    Raises:
        NotFound: there is none of this name.
    """
    found = templates().get(name)
    if found is None:
        remedy = did_you_mean(name, templates(), f"There are {', '.join(templates())}.")
        raise NotFound(f"There is no template {name!r:.100}.", field="template", remedy=remedy)
    return found


def filled(template: Template, flow: str, given: Mapping[str, Any]) -> Filled:
    """A flow of this name, and its cases.

    Args:
        given: parameters, by name.

    Raises:
        InvalidInput: a parameter, or the name, is not as it must be; all that is wrong is told.
    """
    wrong = [*_wrong_name(flow), *(each for name in given for each in _wrong_parameter(template, name, given[name]))]
    lacking = [name for name in template.schema["required"] if name not in given]
    wrong += [(name, f"{name} is missing", _example(template, name)) for name in lacking]
    if wrong:
        problems = [{"field": field, "message": message, "remedy": remedy} for field, message, remedy in wrong]
        detail = "; ".join(f"{message}. {remedy}".removesuffix(".") for _, message, remedy in wrong)
        raise InvalidInput(f"{detail}.", field=wrong[0][0], remedy=wrong[0][2], problems=problems)
    defaults = {name: schema["default"] for name, schema in template.parameters.items() if "default" in schema}
    values = {**defaults, **given, NAMED: flow}
    return Filled(_with_values(template.flow, values), _with_values(template.cases, values))


def _wrong_name(flow: str) -> list[tuple[str, str, str]]:
    if re.fullmatch(NAME.strip("^$"), flow):
        return []
    return [("name", f"{flow!r:.100} is no name", "Use a-z, 0-9, _ and -, a letter first, at most 63 characters.")]


def _wrong_parameter(template: Template, name: str, value: Any) -> list[tuple[str, str, str]]:
    schema = template.parameters.get(name)
    if schema is None:
        known = template.parameters
        return [(name, f"it has no parameter {name!r:.100}", did_you_mean(name, known, f"It has {', '.join(known)}."))]
    told = unfit(schema, value)
    return [] if told is None else [(name, f"{name}: {told}", f"It is: {schema['description']}.")]


def _example(template: Template, name: str) -> str:
    schema = template.parameters[name]
    return f"{schema['description']}, such as {schema['examples'][0]}."


def _with_values(text: str, values: Mapping[str, Any]) -> str:
    return _PLACEHOLDER.sub(lambda found: _scalar(values[found[1]]), text)


def _scalar(value: Any) -> str:
    """As YAML has it, wherever a scalar may stand."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and read(value).value == value:
        return value
    return json.dumps(value, ensure_ascii=True)
