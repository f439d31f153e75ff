"""References to secrets in what a step is told: they are resolved where it is done, and nowhere else.

A reference counts where the flow's text has it. One that comes out of an expression is a value as any other: else
whoever gives a run its inputs could have secrets sent to where they like.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Protocol, cast

from pavo.flows.attempts import Attempted
from pavo.flows.evaluation import SECRET
from pavo.observe.hidden import Hidden


class Secrets(Protocol):
    """See `accounts.secrets.service.SecretService`."""

    async def value(self, organisation_id: uuid.UUID, name: str) -> str | None: ...


class NoSuchSecret(Exception):
    """The organisation has none of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The organisation has no secret {name!r}. An owner sets it: pavo secret set {name}")


def reference(written: object) -> str | None:
    """The name of the secret that a value of a flow's text refers to, if it is such a reference."""
    if not isinstance(written, Mapping):
        return None
    members = cast(Mapping[str, Any], written)
    name = members.get(SECRET)
    return name if len(members) == 1 and isinstance(name, str) else None


class Resolving:
    """The references of one attempt.

    Args:
        hidden: told of each value.
    """

    def __init__(self, secrets: Secrets, organisation_id: uuid.UUID, hidden: Hidden) -> None:
        self._secrets, self._organisation_id, self._hidden = secrets, organisation_id, hidden

    async def resolved(self, written: Any, values: Any) -> Any:
        """The values with their secrets.

        Args:
            written: what they were made of, with the same members.

        Raises:
            NoSuchSecret: there is none of a name.
            Unavailable: one cannot be read.
        """
        if (name := reference(written)) is not None:
            return await self._value(name)
        if isinstance(written, Mapping) and isinstance(values, Mapping):
            of = cast(Mapping[str, Any], written)
            given = cast(Mapping[str, Any], values)
            return {key: await self.resolved(of.get(key), each) for key, each in given.items()}
        if isinstance(written, list | tuple) and isinstance(values, list | tuple):
            pairs = zip(cast("list[Any]", written), cast("list[Any]", values), strict=True)
            return [await self.resolved(of, each) for of, each in pairs]
        return values

    async def _value(self, name: str) -> str:
        found = await self._secrets.value(self._organisation_id, name)
        if found is None:
            raise NoSuchSecret(name)
        self._hidden.add(found)
        return found


def without(hidden: Hidden, attempted: Attempted) -> Attempted:
    """What came of an attempt, without the secrets that it was told."""
    error = None if attempted.error is None else hidden.out_of(attempted.error)
    return Attempted(_out_of(hidden, attempted.output), error, attempted.kind, attempted.unknown)


def _out_of(hidden: Hidden, value: Any) -> Any:
    if isinstance(value, str):
        return hidden.out_of(value)
    if isinstance(value, Mapping):
        members = cast(Mapping[str, Any], value)
        return {hidden.out_of(name): _out_of(hidden, each) for name, each in members.items()}
    if isinstance(value, list | tuple):
        return [_out_of(hidden, each) for each in cast("list[Any]", value)]
    return value
