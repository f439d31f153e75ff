"""What the builder of flows takes and gives: expressions, steps, and members of steps. Each says what a file says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias, cast


@dataclass(frozen=True, slots=True)
class Expression:
    """Of CEL. As a text it is `${{ … }}`, so it may also stand in an f-string; what is taken of it goes on."""

    source: str

    def __getattr__(self, name: str) -> "Expression":
        if name.startswith("__"):
            raise AttributeError(name)
        return Expression(f"{self.source}.{name}")

    def __getitem__(self, key: str | int) -> "Expression":
        escaped = key if isinstance(key, int) else "'" + key.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return Expression(f"{self.source}[{escaped}]")

    def __str__(self) -> str:
        return f"${{{{ {self.source} }}}}"

    def __bool__(self) -> bool:
        raise TypeError(f"{self} has no value yet: write the condition as cel('…')")

    def __iter__(self) -> Any:
        raise TypeError(f"{self} has no items yet: write for_each=ForEach({self.source}, max=…)")


def cel(source: str) -> Expression:
    """An expression of CEL, without `${{` and `}}`, such as `steps.fetch.output.sum > inputs.limit`."""
    return Expression(source)


@dataclass(frozen=True, slots=True)
class Step:
    """One that a flow has: what other steps may refer to."""

    flow: str
    """The flow's name."""
    id: str
    token: object = field(repr=False, compare=False)
    """The builder whose it is."""

    @property
    def output(self) -> Expression:
        """What it gave."""
        return Expression(f"steps.{self.id}.output")

    @property
    def status(self) -> Expression:
        """`succeeded`, `failed`, `skipped` or `cancelled`."""
        return Expression(f"steps.{self.id}.status")

    @property
    def error(self) -> Expression:
        """The message of its failure."""
        return Expression(f"steps.{self.id}.error")

    @property
    def items(self) -> Expression:
        """Of a step that is done for each item: a list of `{status, output, error}`."""
        return Expression(f"steps.{self.id}.items")


Duration: TypeAlias = str | timedelta
"""Such as `30s` or `1h30m`."""
Named: TypeAlias = Step | str
Needs: TypeAlias = Named | Sequence[Named]
Condition: TypeAlias = Expression | str | bool


@dataclass(frozen=True, slots=True)
class ForEach:
    """`for_each`: a step is done once for each item of a list. What is left out is not written."""

    items: Expression | str
    max: int
    name: str | None = None
    """By which expressions know the item; `item` where it is left out."""
    parallel: int | None = None
    on_item_failure: Literal["stop", "collect"] | None = None

    @property
    def written(self) -> Mapping[str, Any]:
        """As a file has it."""
        return given(
            {
                "in": self.items,
                "as": self.name,
                "max": self.max,
                "parallel": self.parallel,
                "on_item_failure": self.on_item_failure,
            }
        )


@dataclass(frozen=True, slots=True)
class Retries:
    """`retry`: how often a step is tried, and when again."""

    max: int | None = None
    first: Duration | None = None
    factor: float | None = None
    longest: Duration | None = None
    only: Sequence[Literal["transient", "timeout", "error"]] | None = None

    @property
    def written(self) -> Mapping[str, Any]:
        """As a file has it."""
        every = {"max": self.max, "first": self.first, "factor": self.factor, "longest": self.longest}
        return given({**every, "only": self.only})


@dataclass(frozen=True, slots=True)
class Undo:
    """`compensate`: the tool that undoes a step if the flow fails after it."""

    tool: str
    values: Mapping[str, Any] | None = None

    @property
    def written(self) -> Mapping[str, Any]:
        """As a file has it."""
        return given({"tool": self.tool, "with": self.values})


@dataclass(frozen=True, slots=True)
class Way:
    """One way out of a branch; without a condition it is the one that is left."""

    go: Needs
    when: Expression | str | None = None

    @property
    def written(self) -> Mapping[str, Any]:
        """As a file has it."""
        return {"when": self.when, "go": self.go} if self.when is not None else {"else": True, "go": self.go}


def given(members: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are."""
    return {name: value for name, value in members.items() if value is not None}


def plainly(value: Any, depth: int = 0) -> Any:
    """The same as JSON has it: expressions as texts, steps as their ids, lengths of time as `90s`.

    Raises:
        ValueError: it is deeper than a flow may be.
    """
    if depth > 32:
        raise ValueError("it is nested deeper than 32 levels")
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, Step):
        return value.id
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, ForEach | Retries | Undo | Way):
        return plainly(value.written, depth)
    if isinstance(value, Mapping):
        return {name: plainly(each, depth + 1) for name, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plainly(each, depth + 1) for each in cast("Sequence[Any]", value)]
    return value


def _duration(length: timedelta) -> str:
    milliseconds, rest = divmod(length, timedelta(milliseconds=1))
    if rest or milliseconds < 0:
        raise ValueError(f"{length} is no number of milliseconds")
    return f"{milliseconds // 1_000}s" if milliseconds % 1_000 == 0 else f"{milliseconds}ms"
