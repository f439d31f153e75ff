"""Members of a request in another provider's form: read, or refused with what is wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from pavo.errors import BadRequest


class Members:
    """Of one API.

    Args:
        api: its name, for remedies.
    """

    def __init__(self, api: str) -> None:
        self._remedy = f"Send what the {api} API takes."

    def text(self, item: Mapping[str, Any], name: str) -> str:
        """A member that is a text.

        Raises:
            BadRequest: it is none.
        """
        found = item.get(name)
        if not isinstance(found, str):
            refuse(name, f"{type(found).__name__} where a text belongs", self._remedy)
        return found

    def object(self, value: Any, name: str) -> Mapping[str, Any]:
        """A value that is an object.

        Raises:
            BadRequest: it is none.
        """
        if not isinstance(value, Mapping):
            refuse(name, f"{type(value).__name__} where an object belongs", self._remedy)
        return cast(Mapping[str, Any], value)

    def objects(self, value: Any, name: str) -> Sequence[Mapping[str, Any]]:
        """A value that is a list of objects.

        Raises:
            BadRequest: it is none.
        """
        if not isinstance(value, list):
            refuse(name, f"{type(value).__name__} where a list belongs", self._remedy)
        return [self.object(each, name) for each in cast(list[Any], value)]


def refuse(field: str, wrong: str, remedy: str) -> NoReturn:
    """Raises BadRequest: what was asked for cannot be had."""
    raise BadRequest(f"{field}: {wrong}.", field=field, remedy=remedy)
