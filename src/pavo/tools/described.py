"""A tool as its function describes it: schema and check of its arguments follow from type hints and docstring."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ConfigDict, create_model

from pavo.agents.asking.question import KEY
from pavo.agents.calling.functions import PREFIX
from pavo.agents.checks import storable
from pavo.tools.arguments import Understood, WrongArguments, calls_nobody, named, understood
from pavo.tools.contract import MARK, MAX_SECONDS, Declared, Effect, ToolContext

MAX_NAME: Final = 60
MAX_DESCRIPTION: Final = 4_000
_STRICT: Final = ConfigDict(extra="forbid", arbitrary_types_allowed=False)


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed tool."""

    name: str
    description: str
    """Its docstring."""
    effect: Effect
    seconds: float
    """For so long it may run."""
    parameters: type[BaseModel]
    function: Callable[..., Any]
    context: str | None
    """The parameter that takes a `ToolContext`."""
    distribution: str = "unknown"
    """The package that brought it, with its version."""
    given_schema: Mapping[str, Any] | None = None
    """The schema in the place of `parameters`, where somebody else wrote it."""
    is_quick: bool = False
    """Checking arguments takes next to no time, and calls nobody's code but pydantic's."""

    @property
    def label(self) -> str:
        """For people."""
        return self.name if self.name.startswith(PREFIX) else f"The tool {self.name}"

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema (draft 2020-12) of the arguments."""
        return self.parameters.model_json_schema() if self.given_schema is None else self.given_schema

    @property
    def card(self) -> Mapping[str, Any]:
        """What agents are told of it."""
        about = {"name": self.name, "description": self.description, "effect": self.effect}
        return {**about, "schema": dict(self.schema)}

    def understood(self, arguments: Mapping[str, Any]) -> Understood:
        """The arguments, checked once. It may run foreign code, for however long: see `running.understood`.

        Raises:
            WrongArguments: they do not fit.
        """
        if self.given_schema is not None:
            given = _checked_by(self.given_schema, arguments)
            return Understood(given, given)
        return understood(self.parameters, arguments)


def _checked_by(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    from pavo.kit.json_schema import SchemaTooCostly, misfit  # not there for who only writes tools

    given = dict(arguments)
    try:
        error = misfit(schema, given)
    except (SchemaTooCostly, RecursionError) as costly:
        raise WrongArguments(f"args: they cannot be checked: {str(costly)[:300]}") from costly
    except Exception:  # noqa: BLE001 - a schema of somebody else's that is not applied here: who wrote it judges
        return given
    if error is not None:
        place = ".".join(["args", *(str(part) for part in error.absolute_path)])
        raise WrongArguments(storable(f"{place}: {error.message[:300]}"))
    return given


def tool_of(name: str, function: Callable[..., Any], distribution: str = "unknown") -> Tool:
    """What a function says of itself.

    Raises:
        TypeError, ValueError: it is no tool; the text says what to change.
    """
    if not KEY.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(f"{name[:100]!r} is no name of a tool: use at most {MAX_NAME} letters, digits and _ . -")
    if not callable(function):
        raise TypeError(f"{name} is {type(function).__name__}, no function")
    declared = getattr(function, MARK, Declared())
    check_declared(name, declared)
    description = inspect.getdoc(function) or ""
    if not description:
        raise ValueError(f"{name} has no docstring: it tells agents what the tool does")
    parameters, context, is_quick = _parameters(name, function)
    about = (name, description[:MAX_DESCRIPTION], declared.effect, float(declared.seconds))
    return Tool(*about, parameters, function, context, distribution, is_quick=is_quick)


def check_declared(name: str, declared: Declared) -> None:
    """Look at what is said of a function.

    Raises:
        ValueError: it cannot be.
    """
    if declared.effect not in get_args(Effect):
        raise ValueError(f"{name}: effect is {declared.effect!r}: use 'read', 'idempotent' or 'unsafe'")
    if not 0 < declared.seconds <= MAX_SECONDS:
        raise ValueError(f"{name}: seconds is {declared.seconds!r}: use more than 0, at most {MAX_SECONDS:g}")


def _parameters(name: str, function: Callable[..., Any]) -> tuple[type[BaseModel], str | None, bool]:
    """Its arguments, the one that takes a context, and whether checking the others calls nobody's code."""
    fields: dict[str, Any] = {}
    context: str | None = None
    for each in inspect.signature(function, eval_str=True).parameters.values():
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise TypeError(f"{name}: {each} cannot be given by name")
        if each.annotation is ToolContext:
            context = each.name
            continue
        if each.annotation is each.empty:
            raise TypeError(f"{name}: the parameter {each.name} has no type")
        fields[each.name] = (each.annotation, ... if each.default is each.empty else each.default)
    model = create_model(f"Arguments of {name}", __config__=_STRICT, **fields)
    if calls_nobody(model.__pydantic_core_schema__):
        return model, context, True
    known: dict[str, Any] = {each: (named(each, annotation), default) for each, (annotation, default) in fields.items()}
    return create_model(f"Arguments of {name}", __config__=_STRICT, **known), context, False
