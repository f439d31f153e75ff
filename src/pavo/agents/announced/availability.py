"""Which agents can be used: what the live workers have, beside what this process has installed itself."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pavo.agents.announced.announcement import AnnouncedAgent, Announcement, announced, announced_broken
from pavo.agents.announced.groups import Group, grouped, usable
from pavo.agents.announced.schemas import AgentAtWorkers, AgentOut, Health
from pavo.agents.registry import AgentRegistry

HERE: Final = "It is installed here; whether workers have it is not known."
IMPORTING: Final = "The API is still importing it."
NO_WORKER: Final = "No worker is there: tasks wait until one is. This is what the API itself has installed."


def availability(
    registry: AgentRegistry, live: tuple[int, Sequence[Announcement]] | None, importing: Collection[str] = ()
) -> list[AgentOut]:
    """All agents that the live workers or this process have, by name.

    Args:
        live: as `Announcements.live` answers.
        importing: those that this process does not know yet; the others are imported.
    """
    cards = registry.cards(but=importing)
    schemas = {card.name: dict(card.options_schema) for card in cards}
    own = {card.name: announced(card, schemas[card.name]) for card in cards}
    own |= {agent.name: announced_broken(agent) for agent in registry.broken(but=importing)}
    own |= {name: AnnouncedAgent(name=name, version="", error=IMPORTING) for name in importing}
    said = live[1] if live else ()
    groups = grouped((each.build, each.agents) for each in said)
    counted = (live[0], len(live[1])) if live else None
    return [_out(own.get(name), groups.get(name, []), counted, schemas) for name in sorted({*own, *groups})]


def installed(registry: AgentRegistry) -> list[AgentOut]:
    """What is installed here, where nobody can be asked what the workers have."""
    found = availability(registry, None)
    return [agent.model_copy(update=_of_here(agent)) for agent in found]


def _of_here(agent: AgentOut) -> dict[str, Any]:
    return {} if agent.health == "broken" else {"detail": HERE}


def _out(
    own: AnnouncedAgent | None,
    groups: list[Group[AnnouncedAgent]],
    counted: tuple[int, int] | None,
    schemas: Mapping[str, dict[str, Any]],
) -> AgentOut:
    shown = groups[0].said if groups else own
    assert shown is not None
    able = usable(groups)
    health, detail = _health(own, groups, counted, able)
    schema = shown.options_schema if shown.options_schema is not None else schemas.get(shown.name, {})
    return AgentOut(
        name=shown.name,
        version=shown.version,
        description=shown.description,
        options_schema=dict(schema),
        stop_grace=shown.stop_grace,
        isolation=shown.isolation,
        wants_context=shown.wants_context,
        health=health,
        detail=detail,
        workers=able if counted else None,
        at_workers=[_at_workers(group) for group in groups],
    )


def _at_workers(group: Group[AnnouncedAgent]) -> AgentAtWorkers:
    agent = group.said
    return AgentAtWorkers(
        version=agent.version,
        workers=len(group.builds),
        builds=sorted({build for build in group.builds if build}),
        error=agent.error,
        options_schema=None if agent.options_schema is None else dict(agent.options_schema),
    )


def _health(
    own: AnnouncedAgent | None, groups: list[Group[AnnouncedAgent]], counted: tuple[int, int] | None, able: int
) -> tuple[Health, str | None]:
    if own is not None and own.error is not None and not groups:
        return ("unknown", IMPORTING) if own.error == IMPORTING else ("broken", f"It cannot be loaded: {own.error}")
    if counted is None:
        return "unknown", "Redis does not answer, so nobody knows which workers live. This is what the API has."
    workers, told = counted
    if not workers:
        return "no_worker", NO_WORKER
    if not able:
        return _unusable(groups, workers, told)
    if own is None:
        return "partly", "The API does not have it installed, and refuses tasks for it. Install it there too."
    if own.error is not None:
        return "partly", f"The API cannot load it, and refuses tasks for it: {own.error}"
    if able < workers:
        return "partly", f"{able} of {workers} workers can use it.{_first_error(groups)}"
    versions = sorted({group.said.version for group in groups})
    return "ready", f"Workers have several versions: {', '.join(versions)}." if len(versions) > 1 else None


def _unusable(groups: list[Group[AnnouncedAgent]], workers: int, told: int) -> tuple[Health, str]:
    if groups:
        return "broken", f"No worker can load it: {groups[0].said.error}"
    if told < workers:
        waited = f"{workers - told} of {workers} workers have not told which agents they have."
        return "unknown", f"{waited} They are just beginning, or of a build of before."
    return "no_worker", "No worker has it installed: its tasks wait until one does."


def _first_error(groups: list[Group[AnnouncedAgent]]) -> str:
    broken = [group.said for group in groups if group.said.error is not None]
    return f" Where it is {broken[0].version}, it cannot be loaded: {broken[0].error}" if broken else ""
