"""A flow as it is declared: checked as a whole, and known by its hash."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from pavo.flows.definition import checks
from pavo.flows.definition.checks import Finding
from pavo.flows.definition.form import form_of
from pavo.flows.definition.graph import Graph
from pavo.flows.definition.names import Known, NothingKnown, of_names
from pavo.flows.definition.problems import MAX_PROBLEMS, Path, Problem, WrongDefinition
from pavo.flows.definition.reading import Document, read
from pavo.flows.definition.reference_checks import of_references
from pavo.flows.definition.written import WrittenFlow
from pavo.kit.json_values import fingerprint, plain

ON_TEMPORAL = frozenset(("agent", "job"))
"""Kinds of steps that are Temporal workflows of their own."""

UNDONE = frozenset(("wait_for",))
"""Kinds of steps that no engine of this build does."""

Compile = Callable[[Sequence[str]], Sequence[str | None]]
"""What is wrong with each of these expressions; None: nothing."""


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
    def undone(self) -> Sequence[str]:
        """Ids of the steps that keep it from every engine of this build."""
        return [name for name, step in self.flow.steps.items() if step.kind in UNDONE]

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
    graph, circle = checks.of_circle(flow)
    found = chain(circle, _findings(flow, graph, document.value, known or NothingKnown(), compile))
    # They are found one by one, so that a text with very many faults takes no longer than one with some.
    findings = list(islice(found, MAX_PROBLEMS))
    if findings or graph is None:
        raise WrongDefinition(_problems(document, findings))
    return Definition(flow, graph, _hash(document.value), document.value)


def _findings(
    flow: WrittenFlow, graph: Graph | None, value: Mapping[str, Any], known: Known, compile: Compile
) -> Iterator[Finding]:
    yield from checks.of_needs(flow)
    for name, step in flow.steps.items():
        yield from checks.of_step(flow, name, step)
    yield from checks.of_flow(flow, value)
    yield from of_names(flow, known)
    if flow.fallback == "local":
        yield from _of_fallback(flow)
    sources: dict[str, list[Path]] = {}
    yield from of_references(flow, graph, sources)
    for source, told in zip(sources, compile(list(sources)), strict=True):
        if told is not None:
            yield from ((path, f"{source!r:.100}: {told}", "Correct the expression.") for path in sources[source])


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
