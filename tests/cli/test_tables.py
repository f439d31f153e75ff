"""Every table fits 40, 80 and 200 columns, whatever stands in it: no column disappears, nothing is cut."""

import ast
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.cli.test_untrusted_text import LONG, OURS, TRICKS, a_plan, harmless, sent_by

from pavo.cli import table as tables
from pavo.cli.output import print_unfolded
from pavo.cli.table import ROWS_AT_ONCE, Listing, print_fitting
from pavo.cli.task import render
from pavo.observe.printable import printable_line

WIDTHS = (40, 80, 200)
UUID = "01a2172e-5c95-7721-97c0-0d132dc726ed"
HOSTILE = (LONG[:290], "x" * 290, "漢字" * 100, "👩‍👧🎉 " * 30, "مرحبا بالعالم " * 10, "", "a", *TRICKS)


def columns_of(node: ast.expr, module: ast.Module) -> list[str] | None:
    """The heads that a call is given, also by a variable of its module; a head that is computed counts as any text."""
    if isinstance(node, ast.Name):
        assigned = [each.value for each in ast.walk(module) if isinstance(each, ast.Assign)
                    and isinstance(each.targets[0], ast.Name) and each.targets[0].id == node.id]  # fmt: skip
        return columns_of(assigned[-1], module) if assigned else None
    items = node.elts if isinstance(node, ast.Tuple | ast.List) else node.keys if isinstance(node, ast.Dict) else None
    if items is None:
        return None
    return [
        item.value if isinstance(item, ast.Constant) and isinstance(item.value, str) else "VERSION" for item in items
    ]


def all_tables(root: Path) -> Iterator[tuple[str, list[str] | None]]:
    """Where a command prints a table, and its heads."""
    for path in sorted((root / "src/pavo/cli").rglob("*.py")):
        module = ast.parse(path.read_text())
        for node in ast.walk(module):
            called = node.func if isinstance(node, ast.Call) else None
            if path.name == "table.py" or not isinstance(node, ast.Call) or not isinstance(called, ast.Name):
                continue
            if called.id in ("table", "Listing"):
                yield f"{path.stem}:{node.lineno}", columns_of(node.args[called.id == "Listing"], module)


TABLES = dict(all_tables(Path(__file__).parents[2]))


def test_the_tables_of_all_commands_are_found() -> None:
    assert len(TABLES) >= 18 and all(TABLES.values()), TABLES
    places = {place.partition(":")[0] for place in TABLES}
    assert {"corpus", "tokens", "organisations", "webhooks", "agents", "status", "workers", "settings"} <= places


def letters(lines: Sequence[str]) -> Counter[str]:
    return Counter(letter for line in lines for letter in line if not letter.isspace())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("place", TABLES)
def test_a_table_fits_and_nothing_of_it_is_lost(place: str, width: int) -> None:
    heads = [head.upper() for head in TABLES[place] or ()]
    last = len(heads) - 1
    rows = [[HOSTILE[(row + column) % len(HOSTILE)] for column in range(last)] for row in range(len(HOSTILE))]
    cells = [[*map(printable_line, row), UUID] for row in rows]
    sent = sent_by(lambda out: print_fitting(out, heads, cells), terminal=True, width=width)
    harmless(sent)
    lines = OURS.sub("", sent).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    beside = lines[0].split() == " ".join(heads).split()
    named = heads if beside else [head for row in cells for head, cell in zip(heads, row, strict=True) if cell]
    assert letters(lines) == letters([*named, *(cell for row in cells for cell in row)])
    assert sum(line.count(UUID) for line in lines) == len(rows), "an id is never broken"


@pytest.mark.parametrize("width", WIDTHS)
def test_short_rows_stay_rows(width: int) -> None:
    rows = [("postgres", "ready", "0"), ("worker-1", "ready", "12")]
    lines = sent_by(lambda out: print_fitting(out, ("NAME", "STATE", "RESTARTS"), rows), terminal=False, width=width)
    assert [line.split() for line in lines.splitlines()] == [["NAME", "STATE", "RESTARTS"], *map(list, rows)]


def test_in_a_pipe_each_row_is_one_line() -> None:
    cells = [[printable_line(text), UUID] for text in HOSTILE]
    sent = sent_by(
        lambda out: print_unfolded(out, tables._lines(("A", "ID"), cells, tables._natural(("A", "ID"), cells))),  # pyright: ignore[reportPrivateUsage]
        terminal=False,
    )
    assert [line.rpartition(" ")[2] for line in sent.splitlines()] == ["ID", *[UUID] * len(HOSTILE)]


@dataclass(frozen=True)
class Thing:
    name: str


THINGS: Listing[Thing] = Listing("things", {"NAME": lambda one: one.name}, "Nothing.", "pavo thing list")
MANY = [Thing(f"n{number}") for number in range(120)]


@pytest.mark.parametrize(
    ("limit", "terminal", "shown"), [(None, True, ROWS_AT_ONCE), (None, False, 120), (7, False, 7), (500, True, 120)]
)
def test_a_list_tells_what_it_left_out(
    limit: int | None, terminal: bool, shown: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    THINGS.show("text", MANY, lambda one: one.name, limit)
    said = capsys.readouterr()
    assert len(re.findall(r"^n\d+", said.out, re.M)) == shown
    told = f"These are the first {shown} of 120. All: pavo thing list -n 120"
    assert (told in said.out + said.err) == (shown < 120) and not (told in said.out and not terminal)


def test_an_empty_list_and_one_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    THINGS.show("text", [], lambda one: one.name, None)
    THINGS.show("json", MANY[:3], lambda one: one.name, 2)
    said = capsys.readouterr()
    assert said.out == 'Nothing.\n{\n  "things": [\n    "n0",\n    "n1"\n  ]\n}\n' and said.err == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_a_reviewer_sees_the_whole_plan(width: int) -> None:
    """A long word in a title, a detail, a comment, a table or code is broken, not cut; columns do not disappear."""
    word = "q" * 290
    wide = "|".join(f"w{number}" for number in range(30))
    table = f"|{wide}|\n|{'-|' * 30}\n|{wide}|\n"
    plan = a_plan(f"{word} `{word}`\n\n| a | b |\n|---|---|\n| {word} | {word} |\n\n```\n{word}\n```\n\n{table}")
    for shown, often in ((render.plan(plan, plan.feedback), 11), (render.report(plan), 5)):
        sent = OURS.sub(
            "", sent_by(lambda out, shown=shown: render.print_block(out, shown), terminal=True, width=width)
        )
        assert "…" not in sent and all(cell_len(line) <= width for line in sent.splitlines())
        assert sent.count("q") >= 290 * often, (sent.count("q") / 290, often)
        for number in range(30):
            assert len(re.findall(rf"\bw{number}\b", sent)) >= 2


def test_a_whole_command_on_a_narrow_terminal() -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 40, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    words = [sys.executable, "-m", "pavo.cli.main", "deploy", "versions"]
    with subprocess.Popen(words, env={**environment, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave) as done:
        os.close(slave)
        said = b""
        while chunk := _read(master):
            said += chunk
    os.close(master)
    lines = OURS.sub("", said.decode()).replace("\r", "").splitlines()
    assert done.returncode == 0 and len(lines) > 40
    assert all(cell_len(line) <= 40 for line in lines if not line.startswith(("Taken", "Tested")))


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # nobody has the other end any more
        return b""
