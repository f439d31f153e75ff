"""`pavo agents`: which agents are installed, and which options they take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from cyclopts import App
from rich.text import Text

from pavo.agents.registry import AgentCard, AgentRegistry, BrokenAgent
from pavo.cli.help_epilogue import epilogue
from pavo.cli.output import Output, Printer, console, say, table

agents_app = App(name="agents", help="The agents that are installed.", help_epilogue=epilogue("agents"))


@agents_app.command(name="list")
def list_agents(*, output: Output = "text") -> None:
    """List the installed agents, with what is wrong with those that cannot be used."""
    registry = AgentRegistry.load()
    cards, broken = registry.cards(), registry.broken()
    document = {"agents": [asdict(card) for card in cards], "broken": [asdict(agent) for agent in broken]}
    Printer(output).show(document, lambda: _print_agents(cards, broken))


def _print_agents(cards: Sequence[AgentCard], broken: Sequence[BrokenAgent]) -> None:
    rows = [(card.name, card.isolation, card.distribution, card.description) for card in cards]
    table(("NAME", "ISOLATION", "PACKAGE", "DESCRIPTION"), rows)
    for agent in broken:
        line = f"✗ {agent.name} ({agent.distribution}) cannot be used: {agent.error}"
        console().print(Text(line, style="red"))


@agents_app.command
def show(agent_type: str, /, *, output: Output = "text") -> None:
    """Show an agent and its options.

    Parameters
    ----------
    agent_type
        The agent's name.
    """
    card = AgentRegistry.load().card(agent_type)
    Printer(output).show(asdict(card), lambda: _print_agent(card))


def _print_agent(card: AgentCard) -> None:
    console().print(Text(card.name, style="bold"), Text(card.description))
    for label, value in (
        ("package", card.distribution),
        ("class", card.target),
        ("isolation", card.isolation),
        ("stop grace", f"{card.stop_grace:g} s"),
        ("gathers context", "yes" if card.wants_context else "no"),
    ):
        say(f"  {label:<16} {value}")
    columns = ("OPTION", "TYPE", "DEFAULT", "DESCRIPTION")
    table(columns, _options(card), nothing="  It takes no options.")


def _options(card: AgentCard) -> list[tuple[str, str, str, str]]:
    """A row for each option: name, type, default, description."""
    properties = cast(Mapping[str, Mapping[str, Any]], card.options_schema.get("properties", {}))
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
