"""Which secrets an agent may read, and how it is told that it may not."""

from collections.abc import Collection
from typing import Final, Protocol

from pavo.accounts.secrets.domain import NAME
from pavo.errors import AgentRefused

MAX_DECLARED: Final = 50
"""Names that one agent declares."""


class Secrets(Protocol):
    """The secrets that a task's agent may read."""

    async def secret(self, name: str) -> str:
        """The value as it is now.

        Raises:
            AgentRefused: the agent does not declare it, or the organisation has none of this name.
            Unavailable: it cannot be read.
        """
        ...


class NoSecrets:
    """For contexts that are made by hand."""

    async def secret(self, name: str) -> str:
        """Raises: there are none."""
        raise AgentRefused(f"No secret can be read here, such as {str(name)[:100]!r}.", remedy="Give the context one.")


def check_declared(name: object, declared: Collection[str]) -> str:
    """The name, where the agent declares it.

    Raises:
        AgentRefused: it does not.
    """
    if isinstance(name, str) and name in declared:
        return name
    told = ", ".join(declared) or "none"
    raise AgentRefused(
        f"secret(): the agent does not declare {str(name)[:100]!r}; it declares {told}.",
        field="name",
        remedy='Name it in the agent\'s class: secrets = ("NAME",).',
    )


def absent(name: str) -> AgentRefused:
    """What an agent is told where its organisation has no such secret."""
    return AgentRefused(
        f"The organisation has no secret {name!r}.",
        field="name",
        remedy=f"An owner sets it: pavo secret set {name}. Then resume the task.",
    )


def declared_secrets(label: str, declared: object) -> tuple[str, ...]:
    """The names that a class declares, checked.

    Raises:
        TypeError, ValueError: they are none; the text says what to change.
    """
    if isinstance(declared, str) or not isinstance(declared, list | tuple):
        raise TypeError(f'{label}.secrets must be a tuple of names: ("NAME",)')
    names = tuple(map(str, declared))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"{label}.secrets: {name[:100]!r} is no name: use letters, digits and _ . -")
    if len(names) > MAX_DECLARED:
        raise ValueError(f"{label}.secrets are {len(names)}: {MAX_DECLARED} at most")
    return names
