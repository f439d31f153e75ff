"""What a flow's steps name: whether it is there, as far as that is known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pavo.flows.definition.checks import Finding
from pavo.flows.definition.problems import did_you_mean
from pavo.flows.definition.written import WrittenFlow


class Known(Protocol):
    """What a flow's steps may name. Each member is None where that is not known here."""

    @property
    def tools(self) -> Mapping[str, Sequence[int]] | None:
        """Major versions by name; none of a tool whose versions are not known."""
        ...

    @property
    def agents(self) -> Sequence[str] | None: ...

    @property
    def repositories(self) -> Sequence[str] | None: ...

    @property
    def flows(self) -> Mapping[str, Sequence[int]] | None: ...

    @property
    def python(self) -> Sequence[str] | None: ...


@dataclass(frozen=True, slots=True)
class NothingKnown:
    """For a check that stands alone: names of tools and the like are taken as they are."""

    tools: Mapping[str, Sequence[int]] | None = None
    agents: Sequence[str] | None = None
    repositories: Sequence[str] | None = None
    flows: Mapping[str, Sequence[int]] | None = None
    python: Sequence[str] | None = None


def of_names(flow: WrittenFlow, known: Known) -> Iterator[Finding]:
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
        plain = (
            (step.agent, "agent", "agent", known.agents),
            (step.job, "job", "repository", known.repositories),
            (step.python, "python", "entry point", known.python),
        )
        for text, member, kind, names in plain:
            if text is not None and names is not None and text not in names:
                remedy = did_you_mean(text, names, f"There are {', '.join(sorted(names)[:20]) or 'none'}.")
                yield (*top, member), f"there is no {kind} {text!r}", remedy


def _of_version(
    text: str, kind: str, versions: Mapping[str, Sequence[int]], path: tuple[str, ...]
) -> Iterator[Finding]:
    name, _, major = text.partition("@")
    if name not in versions:
        remedy = did_you_mean(name, versions, f"There are {', '.join(sorted(versions)[:20]) or 'none'}.")
        yield path, f"there is no {kind} {name!r}", remedy
    elif versions[name] and int(major) not in versions[name]:
        there = ", ".join(f"{name}@{each}" for each in versions[name])
        yield path, f"there is no {text!r}", f"There is {there}."
