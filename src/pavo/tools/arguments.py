"""The check of a tool's arguments: what of it is foreign code, and which argument it is at."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError, PydanticOmit, PydanticUseDefault

from pavo.agents.checks import storable
from pavo.agents.raised import described

MESSAGE_CHARACTERS: Final = 300
_NAMES: Final = """
    any bool bytes complex date datetime decimal default definition-ref definitions dict dict-keys enum float frozenset
    int json list literal model model-field model-fields multi-host-url none nullable set str tagged-union time
    timedelta tuple typed-dict typed-dict-field union url uuid
"""
_OWN: Final = frozenset(_NAMES.split())
"""Types of pydantic's schemas that it checks in machine code of its own, quickly and without calling anybody."""
_NO_SCHEMAS: Final = frozenset(("metadata", "config", "default", "expected", "members"))
"""Keys of these schemas under which there are none."""
_PYDANTICS: Final = (ValidationError, PydanticOmit, PydanticUseDefault)
"""By these a check says something to pydantic."""


class WrongArguments(ValueError):
    """What was given is not what the tool takes; the text names the argument."""


@dataclass(frozen=True, slots=True)
class Understood:
    """Arguments that fit."""

    arguments: Mapping[str, Any]
    """As the function takes them."""
    told: Mapping[str, Any]
    """As JSON: with the function's defaults, and each as the type that it becomes."""


@dataclass(slots=True)
class Place:
    """Where in the arguments a check is; told across threads."""

    argument: str = ""

    @property
    def path(self) -> str:
        """As errors name it."""
        return f"args.{self.argument}" if self.argument else "args"


_place: ContextVar[Place | None] = ContextVar("pavo_checked_argument", default=None)


def watched() -> Place:
    """Where checks are that begin in this context from now on."""
    place = Place()
    _place.set(place)
    return place


def calls_nobody(schema: Any) -> bool:
    """Whether a schema of pydantic's calls no code but pydantic's, so that it can be neither slow nor surprising."""
    waiting: list[Any] = [schema]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list | tuple):
            waiting += cast("list[Any]", found)
        elif isinstance(found, dict):
            members = cast("dict[str, Any]", found)
            kind = members.get("type")
            if isinstance(kind, str) and kind not in _OWN:
                return False
            if members.get("custom_init") or members.get("post_init") or not _is_copied_quickly(members.get("default")):
                return False
            waiting += [each for name, each in members.items() if name not in _NO_SCHEMAS]
        elif callable(found) and not isinstance(found, type):
            return False
    return True


def _is_copied_quickly(default: Any) -> bool:
    kind = cast("type[Any]", type(default))
    return default is None or kind in (str, int, float, bool) or (kind in (list, dict, tuple) and not default)


def named(argument: str, annotation: Any) -> Any:
    """The type of an argument whose check may raise anything, or hang: it is known then which one it was."""

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        place = _place.get()
        if place is not None:
            place.argument = argument
        try:
            return handler(value)
        except BaseException as error:
            if issubclass(type(error), _PYDANTICS):
                raise
            told = {"told": described(error)[:MESSAGE_CHARACTERS]}
            raise PydanticCustomError("raised", "its own check raised {told}", told) from error

    return Annotated[annotation, WrapValidator(check)]


def understood(parameters: type[BaseModel], given: Mapping[str, Any]) -> Understood:
    """Hold arguments against the types of a function, once.

    Raises:
        WrongArguments: they do not fit, or their check itself fails, however it does.
    """
    try:
        model = parameters.model_validate(dict(given))
        arguments = {name: getattr(model, name) for name in type(model).model_fields}
    except BaseException as error:
        raise WrongArguments(_wrong(error)) from error
    try:
        return Understood(arguments, model.model_dump(mode="json"))
    except BaseException:  # noqa: BLE001 - of the types that its author wrote; then they are told as they were given
        return Understood(arguments, given)


def _wrong(error: BaseException) -> str:
    try:
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(["args", *(str(part) for part in first["loc"])])
            return storable(f"{place}: {first['msg'][:MESSAGE_CHARACTERS]}")
    except BaseException as odd:  # noqa: BLE001 - of a message that its author wrote
        error = odd
    return f"args: their own check raised {described(error)[:MESSAGE_CHARACTERS]}"
