"""`pavo agents`: which agents the workers have, and which options they take."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from cyclopts import App
from pydantic import TypeAdapter
from rich.text import Text

from pavo.agents.announced.schemas import AgentOut
from pavo.cli.api_client import ApiClient
from pavo.cli.help_epilogue import epilogue, give_examples
from pavo.cli.output import Output, Printer, console, say
from pavo.cli.parameters import Url
from pavo.cli.table import table
from pavo.errors import Unavailable
from pavo.observe.printable import printable_line

agents_app = App(name="agents", help="The agents that the workers have.", help_epilogue=epilogue("agents"))

_AGENTS: Final = TypeAdapter(list[AgentOut])


@agents_app.command(name="list")
def list_agents(*, url: Url = None, output: Output = "text") -> None:
    """List the agents, how many workers have them, and what is wrong with those that cannot be used.

    Where no API answers, it lists those that are installed here, and says so.
    """
    agents, away = _of_api(url)
    if away is not None:
        agents = _installed_here()
    document = {
        "agents": [agent.model_dump() for agent in agents if not _is_broken(agent)],
        "broken": [agent.model_dump() for agent in agents if _is_broken(agent)],
        "asked": "api" if away is None else "here",
    }
    Printer(output).show(document, lambda: _print_agents(agents, away))


def _of_api(url: str | None) -> tuple[list[AgentOut], Unavailable | None]:
    """What the API answers, or why it does not."""
    try:
        with ApiClient.from_environment(url) as api:
            return _AGENTS.validate_json(api.repeat("GET", "/api/agents").content), None
    except Unavailable as error:
        return [], error


def _installed_here() -> list[AgentOut]:
    # Imported here: a client alone has nothing that describes agents.
    from pavo.agents.announced.availability import installed
    from pavo.agents.registry import AgentRegistry

    return installed(AgentRegistry.load())


def _is_broken(agent: AgentOut) -> bool:
    return agent.health == "broken"


def _print_agents(agents: Sequence[AgentOut], away: Unavailable | None) -> None:
    columns = ("NAME", "HEALTH", "WORKERS", "PACKAGE", "DESCRIPTION")
    rows = [(each.name, each.health, _count(each), each.version, each.description) for each in agents]
    table(columns, rows, nothing="No agent is installed.")
    named: dict[str, list[str]] = {}
    for agent in agents:
        if agent.detail:
            named.setdefault(agent.detail, []).append(agent.name)
    for detail, names in named.items():
        broken = any(_is_broken(agent) for agent in agents if agent.name in names)
        # Of all of them: said once, without their names.
        line = detail if len(names) == len(agents) > 1 else f"{', '.join(names)}: {detail}"
        console().print(Text(printable_line(line), style="red" if broken else "yellow"), soft_wrap=True)
    if away is not None:
        say(away.detail)


def _count(agent: AgentOut) -> str:
    return "?" if agent.workers is None else str(agent.workers)


@agents_app.command
def show(agent_type: str, /, *, url: Url = None, output: Output = "text") -> None:
    """Show an agent and its options: as the workers have it, else as it is installed here.

    Parameters
    ----------
    agent_type
        The agent's name.
    """
    found, _ = _of_api(url)
    agent = {each.name: each for each in found}.get(agent_type) or _installed_agent(agent_type)
    Printer(output).show(agent, lambda: _print_agent(agent))


def _installed_agent(agent_type: str) -> AgentOut:
    from pavo.agents.announced.availability import installed
    from pavo.agents.registry import AgentRegistry

    registry = AgentRegistry.load()
    registry.card(agent_type)  # tells why there is none
    return next(agent for agent in installed(registry) if agent.name == agent_type)


def _print_agent(agent: AgentOut) -> None:
    console().print(Text(printable_line(agent.name), style="bold"), Text(printable_line(agent.description)))
    health = f"{agent.health}: {agent.detail}" if agent.detail else agent.health
    for label, value in (
        ("package", agent.version),
        ("health", health),
        ("workers", _count(agent)),
        ("isolation", agent.isolation),
        ("stop grace", f"{agent.stop_grace:g} s"),
        ("gathers context", "yes" if agent.wants_context else "no"),
    ):
        say(f"  {label:<16} {value}")
    columns = ("OPTION", "TYPE", "DEFAULT", "DESCRIPTION")
    table(columns, _options(agent), nothing="  It takes no options.")


def _options(agent: AgentOut) -> list[tuple[str, str, str, str]]:
    """A row for each option: name, type, default, description."""
    properties = cast(Mapping[str, Mapping[str, Any]], agent.options_schema.get("properties", {}))
    return [
        (
            name,
            _type(option),
            json.dumps(option["default"]) if "default" in option else "",
            str(option.get("description", "")),
        )
        for name, option in properties.items()
    ]


def _type(option: Mapping[str, Any]) -> str:
    """The option's type with its bounds, for example `integer 1..1000000`."""
    kind = option.get("type", "any")
    text = " or ".join(cast(list[str], kind)) if isinstance(kind, list) else str(kind)
    if "enum" in option:
        text = " | ".join(json.dumps(value) for value in option["enum"])
    low, high = option.get("minimum"), option.get("maximum")
    if low is not None or high is not None:
        text += f" {'' if low is None else low}..{'' if high is None else high}"
    return text


give_examples(agents_app, "agents")
