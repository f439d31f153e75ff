"""The results, in 80 columns."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bench.generating.cases import KINDS
from bench.generating.running import Result

WIDTH: Final = 80
_HEAD: Final = ("", "cases", "passed", "facts", "hold", "answers", "seconds", "tokens")
_MISSED: Final = "missed"


def lines(results: Sequence[Result]) -> Iterator[str]:
    """A table by kind, and then what each case that did not pass lacks."""
    yield _row(_HEAD)
    for kind in KINDS:
        if found := [each for each in results if each.case.kind == kind]:
            yield _row(_sums(kind, found))
    yield _row(_sums("all", results))
    failed = [each for each in results if not each.score.passed]
    if failed:
        yield ""
    for each in failed:
        why = each.told if each.outcome == "error" else "; ".join(each.score.missing)
        yield _cut(f"{_MISSED} {each.case.id} ({each.outcome}): {why}")


def document(results: Sequence[Result]) -> list[dict[str, Any]]:
    """All of it, for programs."""
    return [
        {
            "id": each.case.id,
            "kind": each.case.kind,
            "outcome": each.outcome,
            "passed": each.score.passed,
            "facts": len(each.score.facts),
            "holding": each.score.holding,
            "missing": each.score.missing,
            "rounds": each.rounds,
            "seconds": round(each.seconds, 2),
            "tokens_in": each.tokens_in,
            "tokens_out": each.tokens_out,
            "told": each.told,
        }
        for each in results
    ]


def _sums(name: str, found: Sequence[Result]) -> tuple[str, ...]:
    facts, holding = sum(len(each.score.facts) for each in found), sum(each.score.holding for each in found)
    passed, count = sum(each.score.passed for each in found), len(found)
    answers = sum(each.rounds for each in found) / count if count else 0.0
    tokens = sum(each.tokens_in + each.tokens_out for each in found)
    share = f"{holding / facts:.0%}" if facts else ""
    seconds = f"{sum(each.seconds for each in found):.1f}"
    return name, str(count), str(passed), str(facts), share, f"{answers:.1f}", seconds, f"{tokens:,}"


def _row(cells: Sequence[str]) -> str:
    first, *others = cells
    return _cut(f"{first:<12}" + "".join(f"{each:>9}" for each in others)).rstrip()


def _cut(line: str) -> str:
    line = line.replace("\n", " ")
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
