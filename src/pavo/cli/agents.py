"""`pavo agents`: what agents are installed, and which options they take."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pavo.agents.registry import AgentCard, AgentRegistry, BrokenAgent

agents_app = App(name="agents", help="The agents that are installed.")

Output = Annotated[Literal["text", "json"], Parameter(name=["--output", "-o"])]


@agents_app.command(name="list")
def list_agents(*, output: Output = "text") -> None:
    """List the installed agents, with what is wrong with those that cannot be used.

    Parameters
    ----------
    output
        text for people, json for programs.
    """
    registry = AgentRegistry.load()
    cards, broken = registry.cards(), registry.broken()
    console = Console()
    if output == "json":
        agents: list[dict[str, Any]] = [asdict(card) for card in cards]
        _print_json(console, {"agents": agents, "broken": [asdict(agent) for agent in broken]})
        return
    console.print(_table(cards))
    for agent in broken:
        console.print(_broken_line(agent))


@agents_app.command
def show(agent_type: str, /, *, output: Output = "text") -> None:
    """Show an agent and its options.

    Parameters
    ----------
    agent_type
        The agent's name.
    output
        text for people, json for programs.
    """
    card = AgentRegistry.load().card(agent_type)
    console = Console()
    if output == "json":
        _print_json(console, asdict(card))
        return
    console.print(Text(card.name, style="bold"), Text(card.description))
    for label, value in (
        ("package", card.distribution),
        ("class", card.target),
        ("isolation", card.isolation),
        ("stop grace", f"{card.stop_grace:g} s"),
        ("gathers context", "yes" if card.wants_context else "no"),
    ):
        console.print(Text(f"  {label:<16} {value}"))
    console.print(_options_table(card))


def _table(cards: Any) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ISOLATION", "PACKAGE", "DESCRIPTION"):
        table.add_column(heading)
    for card in cast("list[AgentCard]", cards):
        table.add_row(Text(card.name), card.isolation, Text(card.distribution), Text(card.description))
    return table


def _broken_line(agent: BrokenAgent) -> Text:
    return Text(f"✗ {agent.name} ({agent.distribution}) cannot be used: {agent.error}", style="red")


def _options_table(card: AgentCard) -> Table | Text:
    properties = cast(Mapping[str, Mapping[str, Any]], card.options_schema.get("properties", {}))
    if not properties:
        return Text("  It takes no options.")
    table = Table(box=None, pad_edge=False)
    for heading in ("OPTION", "TYPE", "DEFAULT", "DESCRIPTION"):
        table.add_column(heading)
    for name, option in properties.items():
        default = json.dumps(option["default"]) if "default" in option else ""
        table.add_row(Text(name), Text(_type(option)), Text(default), Text(str(option.get("description", ""))))
    return table


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


def _print_json(console: Console, value: Any) -> None:
    console.print(json.dumps(value, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)
