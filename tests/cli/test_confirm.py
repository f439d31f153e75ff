"""One way to ask, one flag that answers beforehand, one flag for the background: the same with every command."""

import io
import sys
from typing import Any

import pytest

from pavo.cli.confirm import confirm
from pavo.cli.main import app
from pavo.errors import ConfigurationError


class Person(io.StringIO):
    """Somebody at a terminal, who types these lines."""

    def isatty(self) -> bool:
        return True


def parsed(*words: str) -> dict[str, Any]:
    """The parameters of the command, with its defaults."""
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    bound.apply_defaults()
    return dict(bound.arguments)


@pytest.mark.parametrize("flag", ["--yes", "-y", "--auto-approve"])
@pytest.mark.parametrize(
    "words",
    [
        ("reset",),
        ("deploy", "start"),
        ("deploy", "destroy"),
        ("deploy", "restore", "folder"),
        ("deploy", "upgrade"),
        ("task", "delete", "last"),
    ],
    ids=" ".join,
)
def test_every_command_that_asks_takes_every_spelling(words: tuple[str, ...], flag: str) -> None:
    assert parsed(*words)["yes"] is False
    assert parsed(*words, flag)["yes"] is True


@pytest.mark.parametrize(("words", "default"), [(("up",), False), (("deploy", "start"), True)], ids=str)
def test_both_starts_take_both_flags(words: tuple[str, ...], default: bool) -> None:
    assert parsed(*words)["detach"] is default
    assert parsed(*words, "--detach")["detach"] is True
    assert parsed(*words, "--foreground")["detach"] is False


@pytest.mark.parametrize(
    ("typed", "answer", "asked"),
    [("yes\nyes\n", True, 2), ("yes\nno\n", False, 2), ("y\nyes\n", False, 1), ("", False, 1)],
)
def test_only_yes_to_each_question_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, answer: bool, asked: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Person(typed))
    assert confirm("Remove it?", "Really?", approved=False) is answer
    said = capsys.readouterr()
    assert said.err.count("Type yes: ") == asked and said.out == ""


def test_what_was_approved_is_not_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Person("no\n"))
    assert confirm("Remove it?", approved=True)
    assert capsys.readouterr().err == ""


def test_where_nobody_can_be_asked_the_flag_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(ConfigurationError) as found:
        confirm("Remove it?", approved=False)
    assert found.value.field == "--yes" and "--auto-approve" in (found.value.remedy or "")
