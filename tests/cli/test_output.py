"""Every command can answer a program, and prints plainly where nobody looks."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App
from tests.command import pavo

from pavo.cli import output
from pavo.cli.api_client import ApiClient
from pavo.cli.help_epilogue import EXAMPLES
from pavo.cli.main import app
from pavo.cli.table import table
from pavo.cli.task import render
from pavo.cli.typed_words import as_typed
from pavo.errors import InvalidInput

WITHOUT: dict[tuple[str, ...], str] = {
    ("api",): "serves until it is told to end; what it says is its log (PAVO_LOG_FORMAT=json)",
    ("worker",): "serves until it is told to end; what it says is its log (PAVO_LOG_FORMAT=json)",
    ("gateway",): "serves until it is told to end; what it says is its log (PAVO_LOG_FORMAT=json)",
    ("agent", "run"): "works until it is told to end; what it says is its log",
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
    table(("NAME", "LONG", "LAST"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line == line.rstrip() for line in lines)
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
    words = shlex.split(typed.partition(" > ")[0].partition(" < ")[0])
    command, _, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    assert words[0] == "pavo" and "help" not in getattr(command, "__name__", "")


GROUPS = [[], ["task"], ["agents"], ["deploy"], ["corpus"], ["token"], ["org"], ["webhook"]]


@pytest.mark.parametrize(
    "path", [*map(tuple, GROUPS), *sorted(FOUND.keys() - {("--install-completion",)})], ids=" ".join
)
def test_help_ends_with_examples_of_the_command(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    app([*path, "--help"], result_action="return_value")
    said = " ".join(capsys.readouterr().out.split())
    examples = EXAMPLES[" ".join(path) or "pavo"]
    assert examples and all(typed.startswith(" ".join(("pavo", *path))) for typed in examples)
    assert all(" ".join(typed.split()) in said for typed in examples) and "Exit codes: 0 done" in said


@pytest.mark.parametrize(
    ("words", "said", "remedy"),
    [
        (["run", "two", "words"], "“words”", "quotes"),
        (["tsk"], 'Did you mean "task"', "pavo --help"),
        (["task", "lst"], "list", "pavo task --help"),
        (["task", "show"], "TASK is missing.", "pavo task show --help"),
        (["run", "x", "--agent"], "--agent needs a value.", "pavo run --help"),
        (["token", "create", "a@b.c", "--expires", "3"], '"3" is not a length of time', "30d"),
        (["corpus", "show", "nope"], '"nope" is not an id', "pavo corpus show --help"),
        (["logs", "--lines", "-1"], "--lines", "pavo logs --help"),
        (["task", "list", "--nope"], "--nope", "pavo task list --help"),
    ],
)
def test_wrong_usage_names_what_is_wrong_and_where_its_help_is(words: list[str], said: str, remedy: str) -> None:
    done = pavo(words)
    shown = done.stderr
    assert done.returncode == 2 and done.stdout == ""
    assert shown.count("Error:") == 1 and said in shown and remedy in shown.partition("→")[2], shown
    assert "Unused Tokens" not in shown and "UUID" not in shown and "timedelta" not in shown


@pytest.mark.parametrize(
    ("words", "field", "shown"),
    [
        ("run x", "agent_options.steps", "--option steps"),
        ("run x", "agent_type", "--agent"),
        ("task feedback last x", "body", "--text"),
        ("task list", "limit", "--limit"),
        ("task list", "created_by", "--created-by"),
        ("org role a@b.c owner", "user_id", "EMAIL"),
        ("corpus show x", "document_id", "DOCUMENT"),
        ("task list", "Origin", "Origin"),
    ],
)
def test_an_error_of_the_api_names_what_was_typed(words: str, field: str, shown: str) -> None:
    error = InvalidInput("Wrong.", field=field, remedy=f"Correct {field} in the body.")
    typed = as_typed(error, words.split(), app)
    assert typed == (shown, f"Correct {shown}." if shown != field else error.remedy)


def test_a_suggested_command_reaches_the_same_api(capsys: pytest.CaptureFixture[str]) -> None:
    for url, ends in (("http://127.0.0.1:9", " --url http://127.0.0.1:9"), (None, "abc")):
        with ApiClient.from_environment(url):
            render.command(render.page(), "watch", "pavo task watch abc")
        assert capsys.readouterr().out.rstrip().endswith(ends)


def test_the_form_is_decided_in_one_place(root: Path) -> None:
    """A command gives both forms to its `Printer`."""
    decides = re.compile(r"""[!=]= ["'](json|text)["']""")
    found = [path for path in (root / "src/pavo/cli").rglob("*.py") for _ in decides.findall(path.read_text())]
    assert [path.name for path in found] == ["output.py"]
