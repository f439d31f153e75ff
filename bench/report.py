"""The table, the aims, the JSON."""

import json
import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Figures


@dataclass
class Results:
    """Figures by section and arm, one entry per round; what was left out and why."""

    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def add(self, section: str, arm: str, figures: Figures) -> None:
        """Note one round of one arm."""
        self.rounds.setdefault(section, {}).setdefault(arm, []).append(figures)

    def median(self, section: str, arm: str, figure: str) -> float | None:
        """The median over the rounds."""
        values = [round_[figure] for round_ in self.rounds.get(section, {}).get(arm, []) if figure in round_]
        return statistics.median(values) if values else None

    def ratio(self, section: str, arm: str, other: str, figure: str) -> float | None:
        """The median of the ratios within each round."""
        arms = self.rounds.get(section, {})
        pairs = zip(arms.get(arm, []), arms.get(other, []), strict=False)
        values = [mine[figure] / theirs[figure] for mine, theirs in pairs if figure in mine and theirs.get(figure)]
        return statistics.median(values) if values else None


@dataclass(frozen=True, slots=True)
class Aim:
    """One goal of the project, its figure, and whether it is met."""

    text: str
    value: float | None
    bound: float
    at_least: bool = False
    unit: str = ""

    @property
    def verdict(self) -> str:
        """met, missed, or not measured."""
        if self.value is None:
            return "not measured"
        return "met" if (self.value >= self.bound if self.at_least else self.value <= self.bound) else "missed"


def aims(r: Results) -> list[Aim]:
    """Every goal, with what this run has to say about it."""
    ratio, median = r.ratio, r.median
    found = [
        Aim("(a) steps/s, × bare SDK", ratio("a", "pavo", "sdk", "steps_per_s"), 3.0, True, "×"),
        Aim("(a) steps/s, × Celery", ratio("a", "pavo", "celery", "steps_per_s"), 1.5, True, "×"),
        Aim("(a) steps/s, × Restate", ratio("a", "pavo", "restate", "steps_per_s"), 1.0, True, "×"),
        Aim("(a) CPU a task, × bare SDK", ratio("a", "pavo", "sdk", "cpu_ms_per_task"), 1 / 3, False, "×"),
        Aim("(b) one task p50, × bare SDK", ratio("a", "pavo", "sdk", "one_p50_ms"), 1 / 3, False, "×"),
    ]
    for viewers in (1, 100, 500):
        floor = median(f"c {viewers}", "pubsub", "p99_ms")
        bound = 3 * floor + 10 if floor is not None else 0.0
        found.append(Aim(f"(c) p99, {viewers} viewers", median(f"c {viewers}", "pavo", "p99_ms"), bound, False, " ms"))
    for kind in sorted(key for key in r.rounds if key.startswith("d ")):
        found.append(Aim(f"({kind}) after the step's end, p95", median(kind, "pavo", "p95_ms"), 300, False, " ms"))
    for kind in sorted(key for key in r.rounds if key.startswith("e ")):
        bound = 300 if "clean" in kind else 1_200
        found.append(Aim(f"({kind}) p95", median(kind, "pavo", "p95_ms"), bound, False, " ms"))
    found.append(Aim("(f) requests/s, × bare FastAPI", ratio("f", "pavo", "bare", "requests_per_s"), 0.7, True, "×"))
    sizes = sorted(int(arm) for arm in r.rounds.get("g", {}))
    for size in sizes[1:]:
        growth = ratio("g", str(size), str(sizes[0]), "cpu_ms_per_task")
        found.append(Aim(f"(g) CPU a task, {size:,} waiting / {sizes[0]:,}", growth, 1.1, False, "×"))
    found.append(Aim("(i) others' p99 beside slow viewers", median("i", "pavo", "p99_ms"), 100, False, " ms"))
    found.append(Aim("(i) the API's memory, at most", median("i", "pavo", "memory_peak_mb"), 500, False, " MB"))
    found.append(Aim("(j) lease to first step, p50", median("j", "pavo", "p50_ms"), 150, False, " ms"))
    found += _of_agents_that_think(r)
    found.append(Aim("(h) last 100 steps / first 100", median("h", "pavo", "ratio"), 1.1, False, "×"))
    return found


def _of_agents_that_think(r: Results) -> list[Aim]:
    def beyond(arm: str) -> list[float]:
        """CPU a call beyond the framework alone, by round."""
        arms = r.rounds.get("k", {})
        pairs = zip(arms.get(arm, []), arms.get("alone", []), strict=False)
        return [mine["cpu_ms_per_call"] - bare["cpu_ms_per_call"] for mine, bare in pairs]

    def median(values: Sequence[float]) -> float | None:
        return statistics.median(values) if values else None

    ours, apart = beyond("worker"), beyond("isolated")
    found = [
        Aim("(k) CPU a call beyond the framework alone, in the worker", median(ours), 3.0, False, " ms"),
        Aim("(k) the same, isolated", median(apart), 6.0, False, " ms"),
    ]
    for arm in ("temporal", "openai"):
        times = [other / mine for mine, other in zip(ours, beyond(arm), strict=False) if mine > 0]
        events = r.ratio("k", arm, "worker", "history_events_per_conversation")
        found.append(Aim(f"(k) the same of {ARMS[arm]}, × ours in the worker", median(times), 6.0, True, "×"))
        found.append(Aim(f"(k) history of {ARMS[arm]}, × ours", events, 15.0, True, "×"))
    kinds = sorted((key for key in r.rounds if key.startswith("l ")), key=lambda key: int(key[2:]))
    for kind in kinds[:-1]:
        p95, cpu = r.median(kind, "worker", "round_p95_ms"), r.median(kind, "worker", "cpu_ms_per_round")
        found.append(Aim(f"({kind} in flight) a round's p95", p95, 1_200, False, " ms"))
        found.append(Aim(f"({kind} in flight) CPU a round", cpu, 18, False, " ms"))
    for kind in kinds[-2:-1]:
        cpu = r.median(kind, "streamed", "cpu_ms_per_round")
        found.append(Aim(f"({kind} in flight) CPU a round, 50 tokens streamed", cpu, 25, False, " ms"))
    for kind in kinds[-1:]:
        both = r.ratio(kind, "two", "worker", "rounds_per_s")
        found.append(Aim(f"({kind} in flight) rounds/s of two workers, × one", both, 1.7, True, "×"))
    return found


TITLES = {
    "a": "(a) tasks of empty steps at once, (b) one alone",
    "g": "(g) 100 tasks at once beside so many that wait for review",
    "f": "(f) GET /api/tasks/{id}",
    "h": "(h) one long task",
    "i": "(i) beside viewers of 60 KB events that read nothing",
    "j": "(j) an isolated agent that imports a lot, from its lease to its first step",
    "k": "(k) a call of a model or a tool, in a conversation of 51",
}
ARMS = {
    "pavo": "Pavo",
    "native": "Pavo, native target",
    "sdk": "Temporal SDK, bare",
    "celery": "Celery, prefork 2, Valkey",
    "restate": "Restate",
    "pubsub": "bare Redis pub/sub",
    "bare": "bare FastAPI route",
    "alone": "pydantic-ai alone",
    "worker": "Pavo, agent in the worker",
    "isolated": "Pavo, isolated agent",
    "temporal": "pydantic-ai on Temporal",
    "openai": "openai-agents on Temporal",
    "streamed": "Pavo, 50 tokens streamed",
    "two": "Pavo, two workers",
}


def _title(section: str) -> str:
    letter, _, rest = section.partition(" ")
    names = {
        "c": f"(c) commit to viewer, {rest} viewers",
        "d": f"(d) stop, {rest}",
        "e": f"(e) {rest}: next step recorded",
        "l": f"(l) {rest} conversations at once whose model answers after 1 s",
    }
    return TITLES.get(section) or names.get(letter, section)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def show(r: Results, console: Console) -> None:
    """Print everything: a table of figures, then the aims."""
    console.print(_figures(r))
    console.print(_goals(r))
    for arm, reason in r.absent.items():
        console.print(f"Absent: {ARMS.get(arm, arm)}: {reason}", markup=False)
    for key, value in r.about.items():
        console.print(f"{key}: {value}", highlight=False, markup=False)


def _figures(r: Results) -> Table:
    table = Table(title="Pavo and its peers: medians of the rounds, and their range")
    for column in ("what", "system", "figure"):
        table.add_column(column)
    table.add_column("median", justify="right")
    table.add_column("range", justify="right")
    for section, arms in r.rounds.items():
        table.add_section()
        title = _title(section)
        for arm, rounds in arms.items():
            for row in _rows(ARMS.get(arm, arm), rounds):
                table.add_row(title, *row)
                title = ""
    return table


def _rows(arm: str, rounds: Sequence[Figures]) -> Iterator[tuple[str, str, str, str]]:
    for figure in rounds[0]:
        values = [round_[figure] for round_ in rounds]
        spread = f"{_number(min(values))} - {_number(max(values))}" if len(values) > 1 else ""
        yield arm, figure.replace("_per_", "/").replace("_", " "), _number(statistics.median(values)), spread
        arm = ""


def _goals(r: Results) -> Table:
    table = Table(title="Aims")
    for column, side in (("aim", "left"), ("bound", "right"), ("measured", "right"), ("", "left")):
        table.add_column(column, justify=side)  # pyright: ignore[reportArgumentType]
    for aim in aims(r):
        sign = "≥" if aim.at_least else "≤"
        value = "–" if aim.value is None else f"{aim.value:,.2f}{aim.unit}"
        colour = {"met": "green", "missed": "red"}.get(aim.verdict, "dim")
        table.add_row(aim.text, f"{sign} {aim.bound:,.2f}{aim.unit}", value, f"[{colour}]{aim.verdict}[/]")
    return table


def console() -> Console:
    """A console as wide as the terminal, and wide enough for the table where there is none."""
    return Console(width=max(shutil.get_terminal_size((140, 40)).columns, 110))


def write(r: Results, path: Path) -> None:
    """Everything as JSON: each round, and the aims."""
    verdicts: Sequence[dict[str, Any]] = [
        {"aim": aim.text, "bound": aim.bound, "at_least": aim.at_least, "value": aim.value, "verdict": aim.verdict}
        for aim in aims(r)
    ]
    document = {"about": r.about, "absent": r.absent, "aims": verdicts, "rounds": r.rounds}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
