"""How much of what is expected a flow has: fact by fact, by its structure. No text is compared."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

import yaml

from bench.generating.cases import EvaluationCase, ExpectedFlow, ExpectedLoop, Label
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.definition.durations import duration_of
from pavo.flows.definition.graph import needs_of
from pavo.flows.definition.written import WrittenStep
from pavo.flows.generated.generating import Generated

PROPOSED: Final = "a right flow is proposed"
TRIED: Final = "its cases run as they say"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is expected."""

    told: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Score:
    """Of one answer."""

    facts: tuple[Fact, ...]

    @property
    def holding(self) -> int:
        """How many facts hold."""
        return sum(each.holds for each in self.facts)

    @property
    def passed(self) -> bool:
        """Whether all do."""
        return self.holding == len(self.facts)

    @property
    def missing(self) -> list[str]:
        """Those that do not."""
        return [each.told for each in self.facts if not each.holds]


def score(case: EvaluationCase, generated: Generated) -> Score:
    """The facts of a case, of what came of it. Where no right flow came, none of the flow's facts holds."""
    if case.expect is None:
        return Score((Fact("it is refused", generated.outcome == "refused"),))
    claims, seen = list(_claims(case, case.expect)), generated.examination
    if generated.outcome != "proposed" or seen is None or seen.flow is None:
        return Score((Fact(PROPOSED, holds=False), *(Fact(told, holds=False) for told, _ in claims)))
    flow = Seen(definition_of(seen.flow, lambda sources: [None] * len(sources)))
    facts = [Fact(PROPOSED, holds=True), *(Fact(told, holds(flow)) for told, holds in claims)]
    mine = [each for each in seen.tried if not each.made_up]
    if mine or seen.case_problems:  # of whoever writes none nothing is said
        facts.append(Fact(TRIED, not seen.case_problems and all(each.ok for each in mine)))
    return Score(tuple(facts))


class Seen:
    """A flow, as facts look at it."""

    def __init__(self, definition: Definition) -> None:
        self.flow, self.steps = definition.flow, definition.flow.steps
        self._value, self._before = definition.value, definition.graph.before

    def like(self, label: Label) -> list[str]:
        """Ids of the steps of a label."""
        return [name for name, step in self.steps.items() if label in _labels(step)]

    def has(self, *, label: Label, count: int) -> bool:
        """Whether there are so many of it."""
        return len(self.like(label)) >= count

    def has_none(self, *, label: Label) -> bool:
        """Whether there is none of it."""
        return not self.like(label)

    def counts(self, *, least: int, most: int) -> bool:
        """Whether it has so many steps."""
        return least <= len(self.steps) <= most

    def is_before(self, *, first: Label, then: Label) -> bool:
        """Whether some step of the one waits for one of the other."""
        firsts = self.like(first)
        return any(each in self._before[step] for step in self.like(then) for each in firsts)

    def are_beside(self, *, label: Label) -> bool:
        """Whether two steps of it wait for no other of it."""
        found = self.like(label)
        return len([step for step in found if not any(each in self._before[step] for each in found)]) > 1

    def guards(self, *, label: Label) -> bool:
        """Whether some step of it is not always done."""
        return any(self._is_guarded(self.steps[name]) for name in self.like(label))

    def some(self, *, label: Label, so: Callable[[WrittenStep], bool]) -> bool:
        """Whether some step of it is so."""
        return any(so(self.steps[name]) for name in self.like(label))

    def branches(self, *, ways: int) -> bool:
        """Whether some branch has so many ways."""
        return any(len(step.branch or ()) == ways for step in self.steps.values())

    def is_so(self, *, member: str, among: Sequence[Any]) -> bool:
        """Whether a member of the flow, such as `limits.duration`, is one of these."""
        return attrgetter(member)(self.flow) in among

    def is_given(self, *, name: str) -> bool:
        """Whether it has such an input."""
        return name in self.flow.inputs

    def names_secrets(self, *, names: Sequence[str]) -> bool:
        """Whether it names these secrets, and no others."""
        return sorted(self.flow.secrets) == sorted(names)

    def keeps(self, *, step: str, value: Any) -> bool:
        """Whether a step is as it was."""
        return self._value["steps"].get(step) == value

    def _is_guarded(self, step: WrittenStep) -> bool:
        return step.condition is not None or any(self.steps[each].branch is not None for each in needs_of(step))


Claim: TypeAlias = tuple[str, Callable[[Seen], bool]]


def _claims(case: EvaluationCase, expect: ExpectedFlow) -> Iterator[Claim]:
    yield from _of_steps(expect)
    for label, told, so in chain(_of_work(expect), _of_times(expect)):
        yield f"{label} {told}", partial(Seen.some, label=label, so=so)
    yield from _of_flow(expect)
    if case.before is not None:
        before = _before(case.before)
        for step in expect.keeps:
            yield f"{step} is kept", partial(Seen.keeps, step=step, value=before["steps"][step])
        if (name := before.get("flow")) is not None:
            yield "its name is kept", partial(Seen.is_so, member="flow", among=(name,))


def _of_steps(expect: ExpectedFlow) -> Iterator[Claim]:
    if expect.steps is not None:
        least, most = expect.steps
        yield f"{least} to {most} steps", partial(Seen.counts, least=least, most=most)
    for label, count in Counter(expect.does).items():
        yield f"{count} × {label}", partial(Seen.has, label=label, count=count)
    for label in expect.lacks:
        yield f"no {label}", partial(Seen.has_none, label=label)
    for first, then in expect.order:
        yield f"{first} before {then}", partial(Seen.is_before, first=first, then=then)
    for label in expect.beside:
        yield f"two {label} beside each other", partial(Seen.are_beside, label=label)
    for label in expect.guarded:
        yield f"{label} has a condition", partial(Seen.guards, label=label)


StepClaim: TypeAlias = tuple[Label, str, Callable[[WrittenStep], bool]]
"""Of some step of a label."""


def _of_work(expect: ExpectedFlow) -> Iterator[StepClaim]:
    for label, ways in expect.joins.items():
        yield label, f"joins {' or '.join(ways)}", partial(_joins, ways=ways)
    for label, loop in expect.for_each.items():
        told = ", ".join(f"{name} {value}" for name, value in loop.model_dump(exclude_none=True).items())
        yield label, f"for each, {told}", partial(_loops, expected=loop)
    for label, tries in expect.retry.items():
        yield label, f"is tried {tries} times", partial(_tries, count=tries)
    for label, tool in expect.undone.items():
        yield label, f"is undone by {tool}", partial(_undoes, tool=tool)


def _of_times(expect: ExpectedFlow) -> Iterator[StepClaim]:
    for label, time in expect.timeout.items():
        yield label, f"has {time}", partial(_has_time, limit=duration_of(time))
    for label, time in expect.expires.items():
        yield label, f"expires after {time}", partial(_expires, limit=duration_of(time))
    for label, who in expect.escalates.items():
        yield label, f"asks {who} later", partial(_escalates, who=who)


def _of_flow(expect: ExpectedFlow) -> Iterator[Claim]:
    if expect.branch is not None:
        yield f"a branch of {expect.branch} ways", partial(Seen.branches, ways=expect.branch)
    members = {
        "on_failure.compensate": None if expect.compensates is None else (expect.compensates,),
        "on_failure.policy": expect.policy or None,
        "limits.duration": None if expect.duration is None else (duration_of(expect.duration),),
        "fallback": None if expect.fallback is None else (expect.fallback,),
    }
    for member, among in members.items():
        if among is not None:
            yield f"{member} is {' or '.join(map(str, among))}", partial(Seen.is_so, member=member, among=among)
    for name in expect.inputs:
        yield f"input {name}", partial(Seen.is_given, name=name)
    if (secrets := expect.secrets) is not None:
        yield f"secrets {', '.join(secrets) or 'none'}", partial(Seen.names_secrets, names=secrets)


def _labels(step: WrittenStep) -> set[Label]:
    """All that a step goes by."""
    whole = str(getattr(step, step.kind))
    match step.kind:
        case "gate":
            what = [step.gate.ask] if step.gate else []
        case "http":
            what = [urlsplit(step.http.url).netloc] if step.http else []
        case "tool" | "flow":
            what = [whole, whole.partition("@")[0]]
        case "sleep":
            what = [_shortest(whole)]
        case "agent" | "job" | "python":
            what = [whole]
        case _:
            what = []
    return {step.kind, *(f"{step.kind}:{each}" for each in what)}


def _shortest(time: str) -> str:
    """60m and 3600s are 1h."""
    try:
        seconds = duration_of(time).total_seconds()
    except ValueError:
        return time
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def _joins(step: WrittenStep, *, ways: Sequence[str]) -> bool:
    return step.join in ways


def _loops(step: WrittenStep, *, expected: ExpectedLoop) -> bool:
    loop = step.for_each
    if loop is None:
        return False
    wanted = (
        (expected.max, loop.max),
        (expected.parallel, loop.parallel),
        (expected.beside, loop.parallel > 1),
        (expected.collect, loop.on_item_failure == "collect"),
    )
    return loop.max >= (expected.at_least or 0) and all(want is None or want == have for want, have in wanted)


def _tries(step: WrittenStep, *, count: int) -> bool:
    return step.retry is not None and step.retry.max == count


def _undoes(step: WrittenStep, *, tool: str) -> bool:
    return step.compensate is not None and step.compensate.tool.partition("@")[0] == tool


def _has_time(step: WrittenStep, *, limit: timedelta) -> bool:
    return step.timeout == limit


def _expires(step: WrittenStep, *, limit: timedelta) -> bool:
    waits = step.gate or step.wait_for
    return waits is not None and waits.expires == limit


def _escalates(step: WrittenStep, *, who: str) -> bool:
    return step.gate is not None and step.gate.escalate is not None and step.gate.escalate.ask == who


def _before(text: str) -> Mapping[str, Any]:
    """The flow before; of one that cannot be read no step can be kept."""
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        return {"steps": {}}
    return cast("Mapping[str, Any]", value)
