"""Which steps need which."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pavo.flows.definition.written import WrittenStep


@dataclass(frozen=True, slots=True)
class Graph:
    """Of a flow whose steps need only what is there, without a circle."""

    order: Sequence[str]
    """Each step behind all that it needs; else as they are written."""
    needs: Mapping[str, Sequence[str]]
    needed_by: Mapping[str, Sequence[str]]
    before: Mapping[str, frozenset[str]]
    """Steps that are over when one begins: what it needs, what these need, and so on."""


def needs_of(step: WrittenStep) -> tuple[str, ...]:
    """Ids of the steps that it needs, each once."""
    given = (step.needs,) if isinstance(step.needs, str) else step.needs
    return tuple(dict.fromkeys(given))


def graph_of(steps: Mapping[str, WrittenStep]) -> Graph | Sequence[str]:
    """The graph; or ids of steps that need each other in a circle, the first one again at the end."""
    needs = {name: [each for each in needs_of(step) if each in steps] for name, step in steps.items()}
    needed_by: dict[str, list[str]] = {name: [] for name in steps}
    for name, wanted in needs.items():
        for each in wanted:
            needed_by[each].append(name)
    left = {name: len(wanted) for name, wanted in needs.items()}
    ready, order = deque(name for name, count in left.items() if count == 0), list[str]()
    before: dict[str, frozenset[str]] = {}
    while ready:
        name = ready.popleft()
        order.append(name)
        before[name] = frozenset(needs[name]).union(*(before[each] for each in needs[name]))
        for each in needed_by[name]:
            left[each] -= 1
            if left[each] == 0:
                ready.append(each)
    if len(order) < len(steps):
        return _circle({name for name in steps if name not in before}, needs)
    return Graph(order, needs, needed_by, before)


def _circle(among: set[str], needs: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Each of these needs another one of them, so whoever follows that comes round."""
    way = [min(among)]
    while True:
        following = next(each for each in needs[way[-1]] if each in among)
        if following in way:
            return [*way[way.index(following) :], following]
        way.append(following)
