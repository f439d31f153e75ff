"""A flow as it is declared: checked as a whole, and known by its hash."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pavo.flows.definition import checks
from pavo.flows.definition.checks import Finding
from pavo.flows.definition.form import form_of
from pavo.flows.definition.graph import Graph
from pavo.flows.definition.problems import Problem, WrongDefinition, did_you_mean
from pavo.flows.definition.reading import Document, read
from pavo.flows.definition.reference_checks import of_references
from pavo.flows.definition.written import WrittenFlow
from pavo.kit.json_values import fingerprint, plain

ON_TEMPORAL = frozenset(("agent", "job"))
"""Kinds of steps that are Temporal workflows of their own."""

Compile = Callable[[Sequence[str]], Sequence[str | None]]
"""What is wrong with each of these expressions; None: nothing."""


class Known(Protocol):
    """What a flow's steps may name. Each member is None where that is not known here."""

    @property
    def tools(self) -> Mapping[str, Sequence[int]] | None:
        """Major versions by name."""
        ...

    @property
    def agents(self) -> Sequence[str] | None: ...

    @property
    def flows(self) -> Mapping[str, Sequence[int]] | None: ...

    @property
    def python(self) -> Sequence[str] | None: ...


@dataclass(frozen=True, slots=True)
class NothingKnown:
    """For a check that stands alone: names of tools and the like are taken as they are."""

    tools: Mapping[str, Sequence[int]] | None = None
    agents: Sequence[str] | None = None
    flows: Mapping[str, Sequence[int]] | None = None
    python: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a flow."""

    flow: WrittenFlow
    graph: Graph
    hash: str
    """SHA-256, in hex, of what it says; comments, order of members and `$schema` do not matter."""
    value: Mapping[str, Any]
    """As it is written."""

    @property
    def only_on_temporal(self) -> Sequence[str]:
        """Ids of the steps that keep it from the local engine."""
        return [name for name, step in self.flow.steps.items() if step.kind in ON_TEMPORAL]


def definition_of(data: bytes | str, compile: Compile, known: Known | None = None) -> Definition:
    """The flow of a file.

    Args:
        compile: see `expressions.evaluating.Evaluator.wrong`.

    Raises:
        WrongDefinition: it is none; all that is wrong is told, as far as one thing does not hide another.
    """
    document = read(data)
    flow = form_of(document, WrittenFlow)
    findings = list(checks.of_needs(flow))
    graph, circle = checks.of_circle(flow)
    findings += circle
    for name, step in flow.steps.items():
        findings += checks.of_step(flow, name, step)
    findings += checks.of_flow(flow, document.value)
    findings += _of_names(flow, known or NothingKnown())
    if flow.fallback == "local":
        findings += _of_fallback(flow)
    wrong, sources = of_references(flow, graph)
    findings += wrong
    for source, told in zip(sources, compile(list(sources)), strict=True):
        if told is not None:
            findings += [(path, f"{source!r:.100}: {told}", "Correct the expression.") for path in sources[source]]
    if findings or graph is None:
        raise WrongDefinition(_problems(document, findings))
    return Definition(flow, graph, _hash(document.value), document.value)


def _problems(document: Document, findings: Sequence[Finding]) -> list[Problem]:
    found = [Problem(path, wrong, remedy, document.places.of(path)) for path, wrong, remedy in dict.fromkeys(findings)]
    return sorted(found, key=lambda each: (each.place.line, each.place.column))


def _hash(value: Mapping[str, Any]) -> str:
    meant, _ = plain({name: each for name, each in value.items() if name != "$schema"})
    return fingerprint(meant)


def _of_fallback(flow: WrittenFlow) -> Iterator[Finding]:
    for name, step in flow.steps.items():
        if step.kind in ON_TEMPORAL:
            remedy = "Leave `fallback` out, or move this step into a flow of its own."
            yield ("fallback",), f"step {name!r} is a {step.kind}, which runs on Temporal alone", remedy


def _of_names(flow: WrittenFlow, known: Known) -> Iterator[Finding]:
    """Of tools, agents and the like that are not there."""
    for name, step in flow.steps.items():
        top = ("steps", name)
        named: list[tuple[str | None, str, Mapping[str, Sequence[int]] | None, tuple[str, ...]]]
        named = [(step.tool, "tool", known.tools, top), (step.flow, "flow", known.flows, top)]
        if step.compensate is not None:
            named.append((step.compensate.tool, "tool", known.tools, (*top, "compensate")))
        for text, kind, versions, path in named:
            if text is not None and versions is not None:
                yield from _of_version(text, kind, versions, (*path, kind))
        for text, kind, names in ((step.agent, "agent", known.agents), (step.python, "python", known.python)):
            if text is not None and names is not None and text not in names:
                remedy = did_you_mean(text, names, f"There are {', '.join(sorted(names)[:20]) or 'none'}.")
                yield (*top, kind), f"there is no {kind} {text!r}", remedy


def _of_version(
    text: str, kind: str, versions: Mapping[str, Sequence[int]], path: tuple[str, ...]
) -> Iterator[Finding]:
    name, _, major = text.partition("@")
    if name not in versions:
        remedy = did_you_mean(name, versions, f"There are {', '.join(sorted(versions)[:20]) or 'none'}.")
        yield path, f"there is no {kind} {name!r}", remedy
    elif int(major) not in versions[name]:
        there = ", ".join(f"{name}@{each}" for each in versions[name])
        yield path, f"there is no {text!r}", f"There is {there}."
