"""The functions of a program, as steps of its flows call them."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pavo.errors import InvalidInput
from pavo.flows.convert.draft import MAX_NAME, identifier
from pavo.tools.contract import MARK, MAX_SECONDS, UNSAFE, Declared
from pavo.tools.described import Tool, tool_of

_UNMARKED: Final = Declared(UNSAFE, MAX_SECONDS)
"""What is known of a function of which nobody has said anything."""


class Actions:
    """Functions by the names that steps call them by: a `tools.registry.ToolSource`.

    Args:
        functions: by the names that the program gives them. `pavo.tools.tool` says of one what calling it does; one
            without that may do anything, for an hour at most.

    Raises:
        InvalidInput: one of them cannot be called by a step; the text says what to change.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._tools: dict[str, Tool] = {}
        self._given: dict[str, str] = {}
        for given, function in functions.items():
            name = identifier(given, MAX_NAME)
            if name in self._tools:
                told = f"{given!r} and {self._given[name]!r} are both {name!r} in flows."
                raise InvalidInput(told, field=f"actions.{given}"[:200], remedy="Call one of them otherwise.")
            self._tools[name], self._given[name] = _described(name, given, function), given

    @property
    def names(self) -> Sequence[str]:
        """As steps say them."""
        return list(self._tools)

    @property
    def given(self) -> Sequence[str]:
        """As the program says them."""
        return list(self._given.values())

    def stands_for(self, name: str, given: str) -> bool:
        """Whether a step that calls this name calls what the program calls so."""
        return self._given.get(name) == given

    def settle(self) -> None:
        """They are there."""

    def all(self) -> Sequence[Tool]:
        """All of them."""
        return list(self._tools.values())

    def is_ready(self, name: str) -> bool:
        """Nothing is waited for."""
        return True

    def find(self, name: str) -> Tool | None:
        """One of them."""
        return self._tools.get(name)


def _described(name: str, given: str, function: Callable[..., Any]) -> Tool:
    try:
        marked = function if hasattr(function, MARK) and inspect.getdoc(function) else _marked(given, function)
        return tool_of(name, marked, "the program")
    except (TypeError, ValueError, NameError) as error:
        remedy = "Give a function whose arguments have names, such as def pay(sum: int)."
        raise InvalidInput(f"{given!r}: {error}", field=f"actions.{given}"[:200], remedy=remedy) from error


def _marked(given: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, and what a tool says of itself beside; the program's own function stays as it is."""
    if not callable(function):
        raise TypeError(f"it is {type(function).__name__}, no function")
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(**arguments: Any) -> Any:
            return await function(**arguments)

        call: Callable[..., Any] = awaited
    else:

        @functools.wraps(function)
        def called(**arguments: Any) -> Any:
            return function(**arguments)

        call = called
    if not hasattr(call, MARK):
        setattr(call, MARK, _UNMARKED)
    call.__doc__ = inspect.getdoc(function) or f"The action {given[:200]} of the program."
    return call
