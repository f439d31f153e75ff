"""Making a flow of what another engine takes. What comes out passes through the same checks as every flow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

from pavo.errors import InvalidInput
from pavo.flows.building.yaml_text import yaml_of
from pavo.flows.convert.actions import convert_actions
from pavo.flows.convert.draft import Draft
from pavo.flows.convert.dsl import convert_dsl
from pavo.flows.convert.simple import convert_simple, flow_name
from pavo.flows.definition.definition import Compile, definition_of
from pavo.flows.definition.problems import Path, Problem, WrongDefinition
from pavo.flows.definition.reading import MAX_DEPTH, MAX_VALUES, read
from pavo.kit.json_values import NotStorable, encode, plain

Form: TypeAlias = Literal["simple", "dsl", "actions"]
"""Of the document: a simple engine's, a DSL like that of Temporal's samples, a file like those of GitHub Actions."""
_FILL: Final[Mapping[Form, Callable[[Draft], None]]] = {
    "simple": convert_simple,
    "dsl": convert_dsl,
    "actions": convert_actions,
}


@dataclass(frozen=True, slots=True)
class Converted:
    """A flow that was made of another document."""

    flow: str
    """YAML."""
    hash: str
    """The definition's."""
    left: Sequence[Problem]
    """What could not be carried over, in the order of the document, each with its place there and what to do."""
    functions: Mapping[str, str]
    """What the steps call by `python`: names of entry points of the group `pavo.flow_steps`, and what the document
    calls these."""


def convert(
    data: bytes | str | Mapping[str, Any],
    form: Form,
    compile: Compile,
    name: str | None = None,
    otherwise: str = "converted",
) -> Converted:
    """The flow that a document stands for.

    Args:
        data: YAML or JSON; or the value itself, such as a dict of a program's, in which functions stand for their
            names. Places are those in its JSON then.
        compile: see `expressions.evaluating.Evaluator.wrong`.
        name: the flow's. Default: like the document's own `name`.
        otherwise: the flow's name where the document has none.

    Raises:
        WrongDefinition: the document is not of this form, or no flow can be made of it; all that is wrong is told,
            with its place in the document.
    """
    document = read(data if isinstance(data, bytes | str) else _text_of(data))
    draft = Draft(document)
    draft.object_at(document.value, (), "the document")
    draft.check()
    _FILL[form](draft)
    draft.check()
    own = cast("dict[str, Any]", document.value).get("name")
    secrets = draft.flow.pop("secrets", None)
    value: dict[str, Any] = {"flow": name or flow_name(own, otherwise), **draft.flow}
    if draft.inputs:
        value["inputs"] = draft.inputs
    if secrets:
        value["secrets"] = secrets
    text = yaml_of({**value, "steps": draft.steps})
    try:
        definition = definition_of(text, compile)
    except WrongDefinition as wrong:
        raise WrongDefinition([_in_the_document(draft, each) for each in wrong.problems]) from wrong
    left = sorted(draft.left, key=lambda each: (each.place.line, each.place.column))
    return Converted(text, definition.hash, left, draft.functions)


def _in_the_document(draft: Draft, problem: Problem) -> Problem:
    """The same of the document of which the flow was made."""
    path: Path = problem.path
    for length in range(len(path), 0, -1):
        if (origin := draft.origins.get(path[:length])) is not None:
            return replace(problem, path=origin, place=draft.document.places.of(origin))
    return replace(problem, path=(), place=draft.document.places.of(()))


def _text_of(value: Mapping[str, Any]) -> str:
    try:
        return encode(plain(_Named().of(value, 0))[0]).decode()
    except NotStorable as error:
        raise InvalidInput(f"The document cannot be converted: {error}.", field="data", remedy=error.remedy) from error


class _Named:
    """A value with functions' names in their places."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def of(self, value: Any, depth: int) -> Any:
        """The same, copied."""
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise NotStorable(f"it has more than {MAX_DEPTH} levels or {MAX_VALUES:,} values", "Convert it in parts.")
        if isinstance(value, Mapping):
            members = cast("Mapping[Any, Any]", value)
            return {name: self.of(each, depth + 1) for name, each in members.items()}
        if isinstance(value, list | tuple):
            return [self.of(each, depth + 1) for each in cast("Sequence[Any]", value)]
        return value.__name__ if callable(value) and isinstance(getattr(value, "__name__", None), str) else value
