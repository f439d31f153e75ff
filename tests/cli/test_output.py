"""Every command can answer a program, and prints plainly where nobody looks."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from pavo.cli import output
from pavo.cli.help_epilogue import EXAMPLES
from pavo.cli.main import app

WITHOUT: dict[tuple[str, ...], str] = {
    ("api",): "serves until it is told to end; what it says is its log (PAVO_LOG_FORMAT=json)",
    ("worker",): "serves until it is told to end; what it says is its log (PAVO_LOG_FORMAT=json)",
    ("deploy", "serve"): "serves under systemd; deploy status -o json tells of it",
    ("--install-completion",): "writes into a shell's start-up file",
}
"""Commands without -o, and why."""


def commands(parent: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command that does something, below `parent`."""
    for name in parent:
        if name in (*parent.help_flags, *parent.version_flags):
            continue
        command, here = parent[name], (*path, name)
        if command.default_command is not None:
            yield here, command
        yield from commands(command, here)


FOUND = dict(commands(app))


def test_all_commands_are_found() -> None:
    assert set(WITHOUT) <= set(FOUND)
    assert {("up",), ("deploy", "start"), ("task", "watch"), ("token", "revoke"), ("demo",)} <= set(FOUND)


def forms(command: App) -> set[str]:
    """What -o takes, where it is there and chooses a form."""
    for argument in command.assemble_argument_collection():
        if "-o" in argument.names:
            return set(argument.get_choices() or ())
    return set()


@pytest.mark.parametrize("path", FOUND, ids=" ".join)
def test_every_command_takes_o(path: tuple[str, ...]) -> None:
    assert forms(FOUND[path]) == (set() if path in WITHOUT else {"text", "json"})


def test_a_row_in_a_pipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """For grep, cut and while read."""
    rows = [("a", "x" * 300, "two\nlines"), ("b", "y " * 150, "z")]
    output.table(("NAME", "LONG", "LAST"), rows, fold=True)
    output.table(("NAME", "LONG", "LAST"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and all(line == line.rstrip() for line in lines)
    assert "x" * 300 in lines[1] and lines[1].endswith("two\\nlines") and lines[2].startswith("b")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_result_is_printed_in_the_form_that_was_asked_for(
    form: output.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    printer = output.Printer(form)
    printer.show({"done": 1}, "Done [1].")
    printer.show({"done": 2}, lambda: output.say("Done [2]."))
    printer.show({"done": 3})
    for number in (4, 5):
        printer.show_line({"line": number}, lambda number=number: output.say(f"Line {number}"))
    printer.people.print("meanwhile")
    documents = '{\n  "done": 1\n}\n{\n  "done": 2\n}\n{\n  "done": 3\n}\n{"line": 4}\n{"line": 5}\n'
    text = "Done [1].\nDone [2].\nLine 4\nLine 5\nmeanwhile\n"
    said = capsys.readouterr()
    assert (said.out, said.err) == ((documents, "meanwhile\n") if form == "json" else (text, ""))


@pytest.mark.parametrize("typed", [typed for examples in EXAMPLES.values() for typed in examples])
def test_every_example_of_the_help_can_be_typed(typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(typed.partition(" > ")[0])
    command, _, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    assert words[0] == "pavo" and "help" not in getattr(command, "__name__", "")


@pytest.mark.parametrize("words", [[], ["run"], ["task"], ["task", "list"], ["deploy"], ["org"], ["up"]])
def test_help_ends_with_its_own_examples(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    app([*words, "--help"], result_action="return_value")
    said = " ".join(capsys.readouterr().out.split())
    examples = EXAMPLES.get(words[0] if words else "pavo", {})
    assert all(" ".join(typed.split()) in said for typed in examples) and ("Examples:" in said) == bool(examples)
    assert "Exit codes: 0 done" in said


def test_the_form_is_decided_in_one_place(root: Path) -> None:
    """A command gives both forms to its `Printer`."""
    decides = re.compile(r"""[!=]= ["'](json|text)["']""")
    found = [path for path in (root / "src/pavo/cli").rglob("*.py") for _ in decides.findall(path.read_text())]
    assert [path.name for path in found] == ["output.py"]
