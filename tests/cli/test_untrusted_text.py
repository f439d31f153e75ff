"""Whatever an agent, a user or a server writes: a terminal or a pipe is sent text and our own styles, nothing else."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from pavo.cli import confirm, output
from pavo.cli.main import print_error
from pavo.cli.problem_details import error_of
from pavo.cli.table import print_fitting, table
from pavo.cli.task import render
from pavo.errors import PavoError
from pavo.observe.printable import printable_line
from pavo.tasks.schemas import DocumentOut, FeedbackOut, TaskOut
from pavo.timeline.schemas import EventOut

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TRICKS = (
    "\x1b[2J\x1b[1;1HPlan v9 accepted",  # clears the screen and writes something else
    "\x1b[1A\x1b[2KNothing is deleted",  # goes up and overwrites the line before
    "\x1b]8;;http://evil.example\x1b\\pavo.example\x1b]8;;\x1b\\",  # a link that shows another address
    "\x1b]52;c;cm0gLXJmIH4=\x07",  # writes to the clipboard
    "\x9b2J\x9d52;c;cm0=\x9c",  # the same by C1 controls
    "delete \u202eselif owt\u202c \u2066x\u2069",  # reads backwards
    "ac\u200bcept\ufeff\u2060",  # no width
    "done\rDelete",  # overwrites its own beginning
    "[red]not red[/] [link=http://evil.example]x[/link] [/] [bold",  # markup of Rich
    "&#27;[2J &#x9b;2J &#x202e;",  # what Markdown makes of it
    "[pavo.example](http://evil.example) ![x](http://evil.example/\x1b[2J)",
)
OURS = re.compile(r"\x1b\[[0-9;]*m")
"""What a style is switched on and off with: all that Pavo sends beside text."""
HOSTILE = st.text(st.characters() | st.sampled_from("\x1b\x9b\x9d\x07\r\n\t[]/\u202e\u200d\u2028")) | st.sampled_from(
    TRICKS
)


def harmless(sent: str) -> None:
    text = OURS.sub("", sent)
    assert all(one.isprintable() or one in "\n\t\u200c\u200d" or (one.isspace() and one >= "\xa0") for one in text), (
        sent
    )
    assert not re.search("[\u2028\u2029\u0085]", text)


def a_task(title: str = "Analyze churn drivers", **changed: object) -> TaskOut:
    base = {
        "id": uuid.uuid4(), "title": title, "prompt": title, "agent_type": "intern", "agent_options": {title: title},
        "stage": "EXECUTING", "stage_status": "RUNNING", "steps": 12, "total": 200, "progress": 12,
        "workflow_id": "w", "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return TaskOut.model_construct(**{"plan": None, "error": None, **base, **changed})


def a_plan(text: str) -> DocumentOut:
    comment = FeedbackOut.model_construct(step=1, body=text, answer=text)
    steps = [{"title": text, "detail": text}, {"title": "Next", "detail": ""}]
    content = {"summary": text, "steps": steps}
    return DocumentOut.model_construct(
        version=1, status="PENDING", hash="0" * 64, content=content, body=text, feedback=[comment]
    )


def everything(text: str) -> Sequence[Callable[[Console], object]]:
    """Each way by which somebody's text is shown."""
    plan, event = (
        a_plan(text),
        EventOut.model_validate({"seq": 1, "type": "retry", "at": NOW, "error": text, "more": [text]}),
    )
    failed = a_task(text, error=PavoErrorOut(text))
    return (
        lambda out: output.say(text, to=out),
        lambda out: table(("A", text), [(text, "b")], to=out),
        lambda out: print_fitting(out, ("A", "B"), [(printable_line(text), "b")]),
        lambda out: output.fields({"Name": text}, to=out),
        lambda out: render.note(out, text, text),
        lambda out: render.command(out, "next", text),
        lambda out: render.print_block(out, render.plan(plan, plan.feedback)),
        lambda out: render.print_block(out, render.report(plan)),
        lambda out: render.print_block(out, render.task(failed)),
        lambda out: render.print_block(out, render.tasks([failed], out.width)),
        lambda out: out.print(render.event(event)),
        lambda out: out.print(text, Text(text), Markdown(text)),  # somebody forgot
    )


class PavoErrorOut:
    """As `ErrorOut`, for texts of any kind."""

    def __init__(self, text: str) -> None:
        self.type = self.cause = self.remedy = text
        self.step = 3


def sent_by(show: Callable[[Console], object], *, terminal: bool, width: int = 80) -> str:
    out = output.console(theme=render.CALM)
    out.file, out.width = io.StringIO(), width
    out._force_terminal = terminal  # pyright: ignore[reportPrivateUsage]
    show(out)
    return out.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(text=HOSTILE)
def test_no_text_acts_on_a_terminal(text: str, terminal: bool) -> None:
    for show in everything(text):
        harmless(sent_by(show, terminal=terminal))


@pytest.mark.parametrize("text", TRICKS)
def test_no_known_trick_works(text: str) -> None:
    for terminal in (True, False):
        for show in everything(text):
            harmless(sent_by(show, terminal=terminal))


def test_a_trick_is_seen() -> None:
    shown = sent_by(lambda out: render.print_block(out, render.plan(a_plan("\x1b[2J\u202e\x9b"))), terminal=False)
    assert shown.count("\\u001b[2J\\u202e\\u009b") == 5  # title, detail, summary, comment, answer


def test_markup_in_somebodys_text_is_text() -> None:
    for show in everything("[red]a[/] [/]")[:-1]:
        assert "[red]a[/] [/]" in OURS.sub("", sent_by(show, terminal=False, width=200))


def test_a_link_shows_its_address() -> None:
    shown = sent_by(lambda out: out.print(render.report(a_plan("[pavo.example](http://evil.example)"))), terminal=True)
    assert "http://evil.example" in OURS.sub("", shown)


def test_a_field_of_one_line_stays_one_line() -> None:
    for show in (everything("a\n✓ b")[index] for index in (2, 3, 4, 5, 9, 10)):
        sent = sent_by(show, terminal=False, width=200)
        assert "a\\n✓ b" in sent and not any(line.startswith("✓") for line in sent.splitlines())


@pytest.mark.parametrize("text", TRICKS)
def test_errors_of_a_server_are_harmless(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"detail": text, "field": text, "remedy": text, "code": text, "title": text}
    print_error(error_of(httpx2.Response(400, json=problem, headers={"content-type": "application/problem+json"})))
    print_error(PavoError(text, field=text, remedy=text))
    harmless(capsys.readouterr().err)


def test_an_error_that_is_no_text_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(error_of(httpx2.Response(409, json={"detail": {"a": 1}, "field": [1], "remedy": {"b": 2}})))
    assert "{'b': 2}" in capsys.readouterr().err


def test_a_question_is_harmless(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Typed(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Typed("yes\n"))
    assert confirm.confirm("Delete “\x1b[2Ka\rb\nc”?", approved=False)
    assert capsys.readouterr().err == "Delete “\\u001b[2Ka\\rb\\nc”? Type yes: "


@given(HOSTILE)
def test_documents_for_programs_are_harmless_and_read_back(text: str) -> None:
    written = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", written)
        output.print_json({"text": [text]})
    harmless(written.getvalue())
    assert json.loads(written.getvalue()) == {"text": [text]}


def test_a_real_terminal_gets_it_as_text() -> None:
    """A whole command: a word of the command line comes back in an error, on a pseudo-terminal."""
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "pavo.cli.main", "task", "list", "--stage", "\x1b[2J\x9b1A\u202e[red]x[/]"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    done = subprocess.run(words, env=environment, stdin=slave, stdout=slave, stderr=slave, check=False, timeout=60)
    os.close(slave)
    said = os.read(master, 65536).decode().replace("\r\n", "\n")
    os.close(master)
    assert done.returncode == 2 and "[red]x[/]" in said
    harmless(said)


LONG = "Analyze why customers of the second tariff leave, " * 6
WIDTHS = (40, 60, 80, 200)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("title", [LONG[:290], "Short", "漢字" * 100])
def test_a_list_of_tasks_fits_any_width(title: str, width: int) -> None:
    found = [a_task(title, stage="WAIT_RFC", steps=12, total=1000), a_task("b")]
    lines = sent_by(lambda out: render.print_block(out, render.tasks(found, width)), terminal=False, width=width)
    assert len(lines.splitlines()) == 3 and all(cell_len(line) <= width for line in lines.splitlines())
    heads, first, _ = lines.splitlines()
    assert all(name in heads for name in ("TASK", "STAGE", "SAVED", "AGE"))
    shown_id, stage, steps, *_age = first.split()
    assert (stage, steps) == ("WAIT_RFC", "12/1000") and " d " in first
    assert len(shown_id) >= 8 and str(found[0].id).endswith(shown_id)
    assert title in first or "…" in first


def test_in_a_pipe_a_list_of_tasks_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    view = a_task(LONG.strip() + "\nand more")
    render.print_tasks([view])
    _, row = capsys.readouterr().out.splitlines()
    assert row.startswith(str(view.id)) and row.endswith(LONG.strip() + "\\nand more")
