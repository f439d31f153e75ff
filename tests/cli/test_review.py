"""What people type: options, comments, and what a timeline proves."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.cli.output import console
from pavo.cli.task import review
from pavo.cli.task.demo import survival
from pavo.cli.task.progress import steps_text
from pavo.cli.task.review import comment_of
from pavo.cli.task.run_options import options_of, prompt_of
from pavo.errors import InvalidInput
from pavo.timeline.schemas import EventOut

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_options_are_json_where_they_read_as_such() -> None:
    assert options_of(
        ["steps=30", "seconds=0.5", "on=true", "who=Ada", "url=http://a/?b=c", "none=null", "empty="]
    ) == {
        "steps": 30,
        "seconds": 0.5,
        "on": True,
        "who": "Ada",
        "url": "http://a/?b=c",
        "none": None,
        "empty": "",
    }


def test_a_prompt_is_text_or_that_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "draft.txt").write_text("Größe\n")
    (tmp_path / "latin").write_bytes(b"Gr\xf6\xdfe")
    assert prompt_of(None) == ""
    assert prompt_of("Look at @home and -5 %") == "Look at @home and -5 %"
    assert prompt_of("- one\n- two") == "- one\n- two"
    assert prompt_of("x" * 100_000) == "x" * 100_000  # longer than any name of a file
    assert prompt_of("@draft.txt") == prompt_of(f"@{tmp_path}/draft.txt") == "Größe\n"
    for wrong in ("@none.txt", "@", f"@{tmp_path}", "@latin", "@a\0b", "--accept", "-o"):
        with pytest.raises(InvalidInput):
            prompt_of(wrong)


def test_a_file_without_its_at_sign_is_no_prompt(tmp_path: Path) -> None:
    """The agent would be sent a name, which says nothing to it."""
    (tmp_path / "my draft").touch()
    with pytest.raises(InvalidInput) as raised:
        prompt_of(str(tmp_path / "my draft"))
    assert raised.value.remedy == f"For its text write: --prompt '@{tmp_path}/my draft'"


def asked(monkeypatch: pytest.MonkeyPatch, *typed: str) -> tuple[str, str]:
    """The answer that a review takes from these lines, and what it said."""
    out, lines = console(), iter(typed)
    out.file = io.StringIO()
    monkeypatch.setattr("builtins.input", lambda: next(lines))
    return review.ask(out), out.file.getvalue()


def test_a_typo_is_told_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, said = asked(monkeypatch, "acept\x1b[2J", " A ")
    assert answer == review.ACCEPT
    assert said.count("ccept") > said.count("? accept") == 2
    assert "✗ “acept\\u001b[2J” is no answer" in said


@pytest.mark.parametrize("line", ["?", ""])
def test_a_question_mark_explains_the_answers(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    answer, said = asked(monkeypatch, line, "later")
    assert answer == review.LATER and "no answer" not in said
    assert all(meaning in said for meaning in review.ANSWERS.values())


@pytest.mark.parametrize("pair", ["steps", "=3", "", " =3"])
def test_an_option_without_a_name_or_value_is_refused(pair: str) -> None:
    with pytest.raises(InvalidInput):
        options_of([pair])


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        ("2: shorter", (2, "shorter")),
        (" 12 :x", (12, "x")),
        ("shorter", (None, "shorter")),
        ("2:", (None, "2:")),
        ("Note: shorter", (None, "Note: shorter")),
        ("²: x", (None, "²: x")),
    ],
)
def test_a_comment_names_its_step(line: str, comment: tuple[int | None, str]) -> None:
    assert comment_of(line) == comment


@given(st.text())
def test_any_line_is_a_comment(line: str) -> None:
    step, text = comment_of(line)
    assert text == text.strip() and (step is None or step >= 0)


def test_progress_is_aligned() -> None:
    assert steps_text(7, 200) == "  7 of 200 checkpoints"
    assert steps_text(7, None) == "7 checkpoints"


def _timeline(*types: str | int) -> list[EventOut]:
    """Events numbered from 1; a number is the tick of that step, "r3" a recovery after step 3."""
    found: list[EventOut] = []
    for seq, kind in enumerate(types, 1):
        at = NOW + timedelta(seconds=seq)
        if isinstance(kind, int):
            found.append(EventOut.model_validate({"seq": seq, "type": "tick", "at": at, "step": kind}))
        elif kind[0] == "r" and kind[1:].isdigit():
            found.append(EventOut.model_validate({"seq": seq, "type": "recovered", "at": at, "step": int(kind[1:])}))
        else:
            found.append(EventOut.model_validate({"seq": seq, "type": kind, "at": at}))
    return found


def test_a_run_that_went_on_behind_its_recorded_step_survived() -> None:
    found = survival(_timeline("stage", 1, 2, "r2", 3, 4, "report"), 4, NOW + timedelta(seconds=3), done=True)
    assert found.ok
    assert (found.recovered_at, found.seconds, found.recorded, found.events) == (2, 2.0, 4, 7)


@pytest.mark.parametrize(
    "types",
    [
        (1, 2, "r2", 3),  # a step is missing
        (1, 2, "r2", 2, 3, 4),  # one came twice
        (1, 2, "r2", 4, 3),  # out of order
        (1, 2, 3, 4),  # nothing was survived
        (1, 2, "r1", 3, 4),  # it says that it went on after another step
        (1, 2, 3, 4, "r4"),
    ],
)
def test_anything_else_did_not(types: tuple[str | int, ...]) -> None:
    assert not survival(_timeline(*types), 4, NOW, done=True).ok


def test_a_gap_in_the_numbers_or_an_unfinished_task_is_told() -> None:
    events = _timeline(1, "r1", 2)
    assert not survival(events, 2, NOW, done=False).ok
    events[2].seq = 4
    assert not survival(events, 2, NOW, done=True).gapless
