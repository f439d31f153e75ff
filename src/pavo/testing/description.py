"""How the class of an agent describes it: read and checked as Pavo does at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from pavo.agents.contract import JSON, Agent
from pavo.errors import InvalidInput

if TYPE_CHECKING:
    from pavo.agents.registry import AgentCard


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of an agent before it works."""

    card: "AgentCard"
    options: Mapping[str, JSON]
    """Checked, with defaults filled in."""


def describe(agent: type[Agent], options: Mapping[str, JSON] | None) -> Description:
    """The class's description, and the options for it.

    Raises:
        InvalidInput: the class describes no usable agent, or its schema does not take the options.
    """
    from pavo.agents.registry import GROUP, AgentRegistry  # here, for it takes the extra `worker`

    place = f"{agent.__module__}:{agent.__qualname__}"
    if "<locals>" in place:
        raise InvalidInput(
            f"{agent.__qualname__} is a class inside a function, which no process can import",
            remedy="Define it at the top of a module.",
        )
    name = getattr(agent, "name", None)
    if not isinstance(name, str):
        raise InvalidInput(
            f"{agent.__qualname__} has no name",
            remedy="Set the class attribute `name`: tasks choose the agent by it.",
        )
    registry = AgentRegistry({name: [EntryPoint(name, place, GROUP)]})
    return Description(registry.card(name), registry.validate_options(name, options))
