"""What a worker says of its agents, as JSON that builds before and after this one read too."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from pavo.agents.registry import AgentCard, AgentRegistry, BrokenAgent

MAX_TEXT: Final = 1_000
"""Characters of a description or an error."""
MAX_SCHEMAS: Final = 256_000
"""Characters of all schemas of a worker together: a schema beyond that is left out."""


class AnnouncedAgent(BaseModel):
    """An agent, as a worker found it."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    """The package that brought it, with its version."""
    error: str | None = None
    """Why it cannot be used; the members below are told of usable ones alone."""
    description: str = ""
    options_schema: Mapping[str, Any] | None = None
    """None where it is too long to be announced."""
    stop_grace: float = 0.0
    isolation: str = "worker"
    wants_context: bool = False


class Announcement(BaseModel):
    """What one worker has."""

    build: str | None
    """Its build, where it is versioned."""
    agents: Sequence[AnnouncedAgent]


def announcement_of(build: str | None, registry: AgentRegistry) -> Announcement:
    """Of the agents that are installed in this process, within the bounds."""
    left, agents = MAX_SCHEMAS, list[AnnouncedAgent]()
    for card in registry.cards():
        schema = dict(card.options_schema)
        length = len(json.dumps(schema))
        agents.append(announced(card, schema if length <= left else None))
        left -= length if length <= left else 0
    return Announcement(build=build, agents=[*agents, *map(announced_broken, registry.broken())])


def announced(card: AgentCard, schema: Mapping[str, Any] | None) -> AnnouncedAgent:
    """A usable agent."""
    return AnnouncedAgent(
        name=card.name,
        version=card.distribution,
        description=card.description[:MAX_TEXT],
        options_schema=schema,
        stop_grace=card.stop_grace,
        isolation=card.isolation,
        wants_context=card.wants_context,
    )


def announced_broken(agent: BrokenAgent) -> AnnouncedAgent:
    """One that cannot be used."""
    return AnnouncedAgent(name=agent.name, version=agent.distribution, error=agent.error[:MAX_TEXT])
