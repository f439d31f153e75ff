"""Grouping what live workers say of one kind of thing that they have: agents, tools."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel


class Announced(Protocol):
    """What a worker has, as it found it."""

    @property
    def name(self) -> str:
        """By which it is chosen."""
        ...

    @property
    def error(self) -> str | None:
        """Why it cannot be used."""
        ...


T = TypeVar("T", bound=Announced)


@dataclass(slots=True)
class Group(Generic[T]):
    """Workers that say the same of a thing."""

    said: T
    builds: list[str | None] = field(default_factory=list[str | None])


def grouped(said: Iterable[tuple[str | None, Sequence[T]]]) -> Mapping[str, list[Group[T]]]:
    """By name; of each those that can be used first, then what most workers have.

    Args:
        said: each worker's build, and what it has.
    """
    found: dict[str, dict[str, Group[T]]] = defaultdict(dict)
    for build, things in said:
        for thing in things:
            key = thing.model_dump_json() if isinstance(thing, BaseModel) else repr(thing)
            found[thing.name].setdefault(key, Group(thing)).builds.append(build)
    return {
        name: sorted(each.values(), key=lambda group: (group.said.error is not None, -len(group.builds)))
        for name, each in found.items()
    }


def usable(groups: Iterable[Group[T]]) -> int:
    """How many workers can use it."""
    return sum(len(group.builds) for group in groups if group.said.error is None)


def first_error(groups: Iterable[Group[T]]) -> str | None:
    """Why those cannot that cannot."""
    return next((group.said.error for group in groups if group.said.error is not None), None)
