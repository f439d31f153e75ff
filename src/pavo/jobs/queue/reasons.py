"""Why a queued job waits: pure rules over what the rows say."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

PAUSED: Final = "paused"
NO_AGENTS: Final = "no_agents"
NO_MATCH: Final = "no_match"
NOT_CONNECTED: Final = "not_connected"
AT_LIMIT: Final = "at_limit"
AGENTS_BUSY: Final = "agents_busy"
TURN: Final = "turn"


@dataclass(frozen=True, slots=True)
class Place:
    """An agent as a queue sees it."""

    name: str
    labels: Collection[str]
    programs: Collection[str]
    connected: bool
    draining: bool
    free: int
    """Jobs that it could take besides those that it has."""
    rests_for: str = ""
    """Why it is given none for a minute, as it said itself; empty: it is."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """What holds for all jobs of a queue."""

    paused: bool
    running: int
    at_once: int
    places: Sequence[Place]
    """The organisation's own agents, and those that serve all."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job waits."""

    code: str
    """paused, no_agents, no_match, not_connected, at_limit, agents_busy, turn."""
    text: str
    """For people, with the remedy where there is one."""


def reason_of(state: QueueState, labels: Collection[str], program: str) -> Reason:
    """Why a job with these labels, for this program, is not begun at once; the first reason that people must do
    something about, or else what it waits for."""
    if state.paused:
        return Reason(PAUSED, "The queue is paused: resume it.")
    if not state.places:
        return Reason(NO_AGENTS, "There is no agent: connect one.")
    able = [each for each in state.places if set(labels) <= set(each.labels) and program in each.programs]
    if not able:
        return Reason(NO_MATCH, _missing(state.places, labels, program))
    connected = [each for each in able if each.connected]
    if not connected:
        return Reason(NOT_CONNECTED, f"None of the agents that could do it is connected: {_names(able)}.")
    if state.running >= state.at_once:
        return Reason(AT_LIMIT, f"{state.running} of at most {state.at_once} jobs at once are in progress.")
    able = [each for each in connected if each.free > 0 and not each.draining]
    if able and all(each.rests_for for each in able):
        told = f"{able[0].name} cannot take it now, and is asked again within a minute. {able[0].rests_for}"
        return Reason(AGENTS_BUSY, told)
    if not able:
        return Reason(AGENTS_BUSY, f"The agents that could do it are busy or take nothing new: {_names(connected)}.")
    return Reason(TURN, "It is its turn as soon as those before it are given out.")


def _missing(places: Sequence[Place], labels: Collection[str], program: str) -> str:
    runs = [each for each in places if program in each.programs]
    if not runs:
        return f"No agent can run the program {program}."
    lacking = sorted(label for label in labels if not any(label in each.labels for each in runs))
    if lacking:
        return f"No agent that can run {program} has the label {', '.join(lacking)}."
    return f"No agent that can run {program} has all of the labels {', '.join(sorted(labels))}."


def _names(places: Sequence[Place]) -> str:
    """The first of them, and how many more."""
    names = sorted(each.name for each in places)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
