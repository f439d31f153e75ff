"""What an expression is given: the values that it refers to, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pavo.flows.expressions.references import Reference


def context_of(references: Sequence[Reference], values: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each root, as far as it is referred to; what is not there is left out.

    Args:
        values: by root, such as `inputs` and `steps`.
    """
    found: dict[str, Any] = {}
    for each in sorted(references, key=lambda each: len(each.path)):
        if each.root in values:
            _put(found, [each.root, *each.path], values)
    return found


def _put(into: dict[str, Any], path: Sequence[str | int], values: Mapping[str, Any]) -> None:
    """Copy one value; the objects on the way to it hold nothing else. What is in a list comes with the whole list."""
    value: Any = values
    for at, member in enumerate(path):
        if not isinstance(value, Mapping) or member not in value:
            return
        value = cast(Mapping[Any, Any], value)[member]
        is_last = at + 1 == len(path) or not isinstance(value, Mapping)
        if is_last:
            into[str(member)] = value
            return
        following = into.setdefault(str(member), {})
        if following is value:
            return  # all of it is there already
        into = following
