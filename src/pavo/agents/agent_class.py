"""An agent's class by its place, as an entry point spells it: `module:Class`."""

import importlib

from pavo.agents.contract import Agent


def load_agent_class(place: str) -> type[Agent]:
    """Import the agent's class.

    Raises:
        TypeError: what is there is no subclass of Agent.
        ImportError, AttributeError, or whatever else importing the module raises.
    """
    module, _, path = place.partition(":")
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not isinstance(found, type) or not issubclass(found, Agent):
        raise TypeError(f"{place} is no subclass of pavo.agents.contract.Agent")
    return found
