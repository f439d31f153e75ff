"""What people are shown of a call's arguments before they answer: all of it, or both ends and how much lies between."""

import uuid

import pytest

from pavo.agents.asking.question import MAX_QUESTION_BYTES
from pavo.tools.approvals import MAX_ARGUMENTS_TOLD, approval_of, arguments_told
from pavo.tools.models import ToolCallRow
from pavo.tools.policies.domain import Verdict


def row(text: str) -> ToolCallRow:
    arguments = {"command": text}
    return ToolCallRow(id=uuid.uuid4(), tool="run_command", arguments=arguments, arguments_hash="a" * 64)


@pytest.mark.parametrize("text", ["ls", "x" * 11_000, "ö" * 5_000])
def test_what_is_short_is_shown_whole(text: str) -> None:
    assert text in arguments_told(row(text)) and "not shown" not in arguments_told(row(text))


def test_nothing_in_it_is_invisible() -> None:
    told = arguments_told(row("a\x1b[2J\u202eb"))
    assert all(char.isprintable() or char == "\n" for char in told) and "u202e" in told


@pytest.mark.parametrize("letter", ["x", "ö", "🙂", "\x00"])
def test_what_is_long_shows_both_ends_and_fits_a_question(letter: str) -> None:
    text = f"begin{letter * 200_000}rm -rf /"
    told = arguments_told(row(text))
    assert "begin" in told and "rm -rf /" in told and "are not shown here" in told
    assert len(told.encode()) <= MAX_ARGUMENTS_TOLD
    question = approval_of(row(text), Verdict("ask", "rule", "w" * 500), "unsafe")
    assert len(question.text.encode()) <= MAX_QUESTION_BYTES
