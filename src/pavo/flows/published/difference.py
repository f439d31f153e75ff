"""What differs between two versions of a flow: step by step, path by path, and as text."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

from pavo.kit.json_values import encode_text

MAX_SHOWN: Final = 500
"""Characters of a value that is shown."""
MAX_PATHS: Final = 1_000
"""Changed paths that are told."""
MAX_TEXT: Final = 200_000
"""Characters of the text."""
MAX_LINES: Final = 400
"""Of a part that is compared line by line, which takes up to the square of it. A longer one is shown as replaced."""
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class ChangedPath:
    """A value that differs."""

    path: str
    """Such as `with.id` in a step, or `inputs.limit` in the flow."""
    before: str | None
    """JSON, at most 500 characters; None: it was not there."""
    after: str | None
    """Likewise; None: it is not there any more."""


@dataclass(frozen=True, slots=True)
class ChangedStep:
    """A step that both versions have."""

    step: str
    changes: tuple[ChangedPath, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two versions."""

    added: tuple[str, ...]
    """Ids of steps."""
    removed: tuple[str, ...]
    changed: tuple[ChangedStep, ...]
    flow: tuple[ChangedPath, ...]
    """Outside of steps: inputs, result, limits, …"""
    moved: bool
    """Whether the steps that both have stand in another order."""
    text: str
    """As a unified diff of YAML, a part for each step that differs."""
    cut: bool
    """Whether there is more than is told."""


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """What differs.

    Args:
        before: the flow, as it is written; it was checked.
    """
    old, new = _steps(before), _steps(after)
    budget = _Budget(MAX_PATHS)
    flow = budget.take(_paths(_rest(before), _rest(after), ""))
    changed = [(step, budget.take(_paths(old[step], new[step], ""))) for step in new if step in old]
    text, cut = _cut(_text(before, after))
    both = [[step for step in one if step in other] for one, other in ((old, new), (new, old))]
    return Difference(
        added=tuple(step for step in new if step not in old),
        removed=tuple(step for step in old if step not in new),
        changed=tuple(ChangedStep(step, paths) for step, paths in changed if paths),
        flow=flow,
        moved=both[0] != both[1],
        text=text,
        cut=cut or budget.exceeded,
    )


@dataclass
class _Budget:
    left: int
    exceeded: bool = False

    def take(self, paths: Iterator[ChangedPath]) -> tuple[ChangedPath, ...]:
        found: list[ChangedPath] = []
        for each in paths:
            if self.left <= 0:
                self.exceeded = True
                break
            self.left -= 1
            found.append(each)
        return tuple(found)


def _steps(flow: Mapping[str, Any]) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", flow["steps"])


def _rest(flow: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in flow.items() if name not in ("steps", "$schema")}


def _paths(before: Any, after: Any, path: str) -> Iterator[ChangedPath]:
    """Objects are compared member by member, everything else as a whole. A flow is 32 levels deep at most."""
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        for name in [*old, *(each for each in new if each not in old)]:
            inner = f"{path}.{name}" if path else name
            yield from _paths(old.get(name, _MISSING), new.get(name, _MISSING), inner[:MAX_SHOWN])
    elif not _same(before, after):
        yield ChangedPath(path, _shown(before), _shown(after))


def _same(before: Any, after: Any) -> bool:
    """1, 1.0 and true are three values."""
    if before is _MISSING or after is _MISSING:
        return before is after
    return encode_text(before) == encode_text(after)


def _shown(value: Any) -> str | None:
    if value is _MISSING:
        return None
    text = encode_text(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _text(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from _part("the flow", _rest(before), _rest(after))
    old, new = _steps(before), _steps(after)
    for step in [*old, *(each for each in new if each not in old)]:
        yield from _part(f"steps.{step}", old.get(step, _MISSING), new.get(step, _MISSING))


def _part(name: str, before: Any, after: Any) -> Iterator[str]:
    if _same(before, after):
        return
    old, new = _lines(before), _lines(after)
    yield f"@@ {name} @@"
    if max(len(old), len(new)) > MAX_LINES:
        yield from (f"-{line}" for line in old)
        yield from (f"+{line}" for line in new)
        return
    for line in difflib.unified_diff(old, new, lineterm="", n=2):
        if not line.startswith(("---", "+++", "@@")):
            yield line


def _lines(value: Any) -> list[str]:
    if value is _MISSING:
        return []
    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=110)
    return text.splitlines()


def _cut(lines: Iterator[str]) -> tuple[str, bool]:
    found, size = list[str](), 0
    for line in lines:
        size += len(line) + 1
        if size > MAX_TEXT:
            return "".join(f"{each}\n" for each in found), True
        found.append(line)
    return "".join(f"{each}\n" for each in found), False
