"""The agents that are installed: found by the entry point group `pavo.agents`, imported when first asked for.

Describing an agent imports its module, also for isolation `process`: its options and limits are attributes of the
class. So the API and the worker have in memory what the module imports at its top; its processes have it then already
(`hosts.preloading`).
"""

import difflib
import inspect
import json
import logging
import signal
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast, get_args

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator

from pavo.agents.agent_class import load_agent_class
from pavo.agents.code_version import CodeVersion
from pavo.agents.contract import JSON, Agent, Isolation
from pavo.agents.options import checked_options
from pavo.agents.raised import described
from pavo.agents.secrets.declared import declared_secrets
from pavo.errors import InvalidInput
from pavo.kit.extras import DISTRIBUTION

logger = logging.getLogger(__name__)

GROUP = "pavo.agents"
_MAX_GRACE_SECONDS = 3600.0
_MAX_SECONDS = 30 * 86_400.0
"""Of any other limit that an agent declares."""


@dataclass(frozen=True, slots=True)
class AgentCard:
    """An installed agent, as its class describes it."""

    name: str
    description: str
    options_schema: Mapping[str, JSON]
    """JSON Schema (draft 2020-12) of `agent_options`."""
    stop_grace: float
    """Seconds that a step in flight gets to end by itself after a stop."""
    isolation: Isolation
    wants_context: bool
    quick: bool
    distribution: str
    """The package that brought it, with its version."""
    target: str
    """`module:Class`."""
    code: CodeVersion
    """What was found there when it was imported."""
    silence_seconds: float | None = None
    """For so long it may block its event loop; None: as long as others."""
    step_seconds: float | None = None
    """For so long a step may take; None: without limit."""
    secrets: tuple[str, ...] = ()
    """Names of the organisation's secrets that it may read."""


@dataclass(frozen=True, slots=True)
class BrokenAgent:
    """An installed agent that cannot be used, and why."""

    name: str
    distribution: str
    error: str


def declared(group: str) -> Mapping[str, Sequence[EntryPoint]]:
    """What installed packages declare in a group of entry points, by name; nothing is imported."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        known = points.setdefault(point.name, [])
        # One package may be on the path twice, for example as source and installed.
        if all(distribution_of(other) != distribution_of(point) for other in known):
            known.append(point)
    return points


class AgentRegistry:
    """The agents by name. Build it with `load`; it is cheap until an agent is asked for."""

    def __init__(self, points: Mapping[str, Sequence[EntryPoint]]) -> None:
        self._points = points
        self._described: dict[str, AgentCard | BrokenAgent] = {}

    @classmethod
    def load(cls) -> "AgentRegistry":
        """Read which agents are installed, without importing them."""
        return cls(declared(GROUP))

    def names(self) -> Sequence[str]:
        """The names of all agents, also of broken ones, sorted."""
        return sorted(self._points)

    def cards(self, but: Collection[str] = ()) -> Sequence[AgentCard]:
        """All agents that can be used, but these, by name; imports them."""
        return [card for card in self._all(but) if isinstance(card, AgentCard)]

    def isolated(self) -> Mapping[str, Sequence[CodeVersion]]:
        """All agents of isolation `process` that can be used, by distribution; imports all agents."""
        found: dict[str, list[CodeVersion]] = {}
        for card in self.cards():
            if card.isolation == "process":
                found.setdefault(card.distribution, []).append(card.code)
        return found

    def codes(self) -> Mapping[str, str]:
        """By name what each agent's code is, as people read it; of those alone that somebody has asked for already."""
        return {name: card.code.label for name, card in list(self._described.items()) if isinstance(card, AgentCard)}

    def broken(self, but: Collection[str] = ()) -> Sequence[BrokenAgent]:
        """All agents that cannot be used, but these, by name; imports them."""
        return [card for card in self._all(but) if isinstance(card, BrokenAgent)]

    def card(self, agent_type: str) -> AgentCard:
        """One agent.

        Raises:
            InvalidInput: there is none of this name, or it is broken; `field` is agent_type.
        """
        if agent_type not in self._points:
            raise InvalidInput(
                f"There is no agent {agent_type[:100]!r}.", field="agent_type", remedy=self._did_you_mean(agent_type)
            )
        found = self._describe(agent_type)
        if isinstance(found, BrokenAgent):
            raise InvalidInput(
                f"The agent {agent_type!r} of {found.distribution} cannot be loaded: {found.error}",
                field="agent_type",
                remedy="Repair or remove that package, then restart Pavo.",
            )
        return found

    def is_quick(self, agent_type: str) -> bool:
        """Whether an agent declares that it is quick; False of one that is not installed here."""
        found = self._describe(agent_type) if agent_type in self._points else None
        return isinstance(found, AgentCard) and found.quick

    def validate_options(self, agent_type: str, options: Mapping[str, JSON] | None) -> dict[str, JSON]:
        """The options with defaults filled in.

        Raises:
            InvalidInput: no such agent, or the options do not fit its schema; `field` is for example
                "agent_options.steps".
        """
        card = self.card(agent_type)
        return checked_options(agent_type, card.options_schema, options or {})

    def _all(self, but: Collection[str]) -> Iterator[AgentCard | BrokenAgent]:
        return (self._describe(name) for name in self.names() if name not in but)

    def _describe(self, name: str) -> AgentCard | BrokenAgent:
        if name not in self._described:
            self._described[name] = _described(name, self._points[name])
        return self._described[name]

    def _did_you_mean(self, agent_type: str) -> str:
        near = difflib.get_close_matches(agent_type, self.names(), n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        return f"{hint}Known agents: {', '.join(self.names())}."


def _described(name: str, points: Sequence[EntryPoint]) -> AgentCard | BrokenAgent:
    own = [point for point in points if distribution_of(point).split()[0] == DISTRIBUTION]
    chosen = own or points
    if len(chosen) > 1:
        sources = ", ".join(distribution_of(point) for point in chosen)
        logger.error("The agent %r is declared by several packages: %s", name, sources)
        return BrokenAgent(name, sources, "several packages declare an agent of this name.")
    if len(points) > 1:
        logger.warning("The agent %r of another package is ignored: Pavo has one of this name.", name)
    point = chosen[0]
    try:
        return _card(name, point)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and _listens_to_people():
            raise
        logger.exception("The agent %r of %s cannot be loaded.", name, distribution_of(point))
        return BrokenAgent(name, distribution_of(point), described(error))


def _listens_to_people() -> bool:
    """Whether a KeyboardInterrupt may be somebody's Ctrl-C: elsewhere it can only be the agent's own."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _card(name: str, point: EntryPoint) -> AgentCard:
    code = CodeVersion.found(point.value, distribution_of(point))
    agent = load_agent_class(point.value)
    _check_class(name, agent)
    return AgentCard(
        name=name,
        description=str.__str__(agent.description),
        options_schema=_schema(agent),
        stop_grace=float(agent.stop_grace),
        isolation=agent.isolation,
        wants_context=agent.wants_context,
        quick=agent.quick,
        distribution=distribution_of(point),
        target=point.value,
        code=code,
        silence_seconds=None if agent.silence_seconds is None else float(agent.silence_seconds),
        step_seconds=None if agent.step_seconds is None else float(agent.step_seconds),
        secrets=declared_secrets(agent.__qualname__, agent.secrets),
    )


def _check_class(name: str, agent: type[Agent]) -> None:
    """Raise TypeError or ValueError, saying what to change, where the class does not describe a usable agent."""
    if inspect.isabstract(agent):
        missing = ", ".join(sorted(cast(Any, agent).__abstractmethods__))
        raise TypeError(f"{agent.__qualname__} lacks {missing}")
    if getattr(agent, "name", None) != name:
        raise ValueError(f"{agent.__qualname__}.name must be {name!r}, like the entry point")
    if agent.isolation not in get_args(Isolation):
        raise ValueError(f"{agent.__qualname__}.isolation is {agent.isolation!r}: use 'worker' or 'process'")
    if not isinstance(cast(object, agent.quick), bool):
        raise ValueError(f"{agent.__qualname__}.quick is {agent.quick!r}: use True or False")
    if agent.quick and agent.isolation != "worker":
        raise ValueError(f"{agent.__qualname__} is quick: that takes isolation 'worker', a process begins too slowly")
    if not 0 <= agent.stop_grace <= _MAX_GRACE_SECONDS:
        raise ValueError(f"{agent.__qualname__}.stop_grace is {agent.stop_grace!r}: use seconds from 0 to 3600")
    _check_limits(agent)
    if not isinstance(cast(object, agent.description), str):
        raise TypeError(f"{agent.__qualname__}.description must be text")


def _check_limits(agent: type[Agent]) -> None:
    for member in ("silence_seconds", "step_seconds"):
        seconds = getattr(agent, member)
        if seconds is not None and not 0 < seconds <= _MAX_SECONDS:
            raise ValueError(f"{agent.__qualname__}.{member} is {seconds!r}: use None, or seconds up to 30 days")


def _schema(agent: type[Agent]) -> dict[str, JSON]:
    """A copy of the agent's schema, of plain JSON: what is asked for each task runs no code of the agent's."""
    try:
        schema = json.loads(json.dumps(agent.options_schema))
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"{agent.__qualname__}.options_schema is no JSON Schema: {error.message}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{agent.__qualname__}.options_schema is no JSON: {error}") from error
    if not isinstance(schema, dict):
        raise ValueError(f"{agent.__qualname__}.options_schema is no JSON Schema: it must be an object")
    return cast(dict[str, JSON], schema)


def distribution_of(point: EntryPoint) -> str:
    """Name and version of the package that declares it."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"
