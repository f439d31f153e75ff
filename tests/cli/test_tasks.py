"""`pavo run` and `pavo task …` as a user types them, against a real API and worker."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from tests import command
from tests.parts import free_port

from pavo.cli.task.client import TaskClient
from pavo.tasks.schemas import Wanted

PAVO = [sys.executable, "-m", "pavo.cli.main"]
FAST = ["--option", "steps=12", "--option", "step_seconds=0.01"]


class Pavo:
    """Runs the command against one API as one user."""

    def __init__(self, url: str) -> None:
        clean = {k: v for k, v in os.environ.items() if k not in ("PAVO_TOKEN", "NO_COLOR", "FORCE_COLOR")}
        self.environment = {**clean, "PAVO_URL": url, "PAVO_USER": "cli@example.com", "TERM": "xterm-256color"}

    def __call__(self, *words: str, code: int = 0, typed: str = "") -> str:
        done = command.pavo(words, self.environment, typed=typed)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout if code in (0, 1) and done.stdout else done.stdout + done.stderr

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "-o", "json", code=code))


@pytest.fixture(scope="session")
def pavo(stack: str) -> Pavo:
    return Pavo(stack)


def waiting(pavo: Pavo, *words: str) -> dict[str, Any]:
    """A task whose plan waits for review."""
    found = pavo.json("run", "A plan to review", *FAST, *words)
    assert found["task"]["stage"] == "WAIT_RFC" and found["report"] is None
    return found


def test_run_to_the_report_without_a_terminal(pavo: Pavo) -> None:
    told = pavo("run", "Analyze churn drivers", "--accept", *FAST)
    assert "Plan v1" in told and "12 of 12 checkpoints" in told and "Done: 12 checkpoints recorded" in told
    assert "\x1b" not in told
    assert all(line == line.rstrip() for line in told.splitlines())


def test_run_as_json(pavo: Pavo) -> None:
    found = pavo.json("run", "As JSON", "--accept", *FAST)
    assert found["task"]["stage"] == "DONE" and found["plan"]["status"] == "ACCEPTED"
    assert found["report"]["kind"] == "REPORT"
    assert pavo("task", "report", found["task"]["id"]).startswith("# As JSON\n")


def test_policies_and_budgets_come_with_the_task(pavo: Pavo) -> None:
    bounds = [
        "--policy",
        "ask mail.*",
        "--policy",
        "deny * effect=unsafe",
        "--budget",
        "5.00",
        "--budget-tokens",
        "1000",
    ]
    done = pavo.json("run", "Bound", "--accept", *FAST, *bounds)["task"]
    (own,) = [each for each in pavo.json("budget", "list", "--task", done["id"])["items"] if each["task_id"]]
    assert (own["period"], own["cost"], own["tokens"]) == ("life", 5.0, 1000)
    listed = pavo.json("policy", "list", "--task", done["id"])["items"]
    assert [(each["decision"], each["tool"], each["effect"]) for each in listed] == [
        ("ask", "mail.*", None),
        ("deny", "*", "unsafe"),
    ]
    for wrong in ("mail.*", "ask a b", "perhaps", ""):
        assert "is no policy" in pavo("run", "Never", "--policy", wrong, code=2)
    assert "budgets.0.cost" in pavo("run", "Never", "--budget", "-1", code=2)


def test_without_a_terminal_the_plan_is_printed_and_the_command_that_accepts_it(pavo: Pavo) -> None:
    told = pavo("run", "Wait for me", *FAST)
    line = next(line for line in told.splitlines() if "pavo task accept" in line)
    words = line[line.index("task accept") :].split()
    assert "Plan accepted" in pavo(*words)
    assert "Done: 12 checkpoints recorded" in pavo("task", "watch", words[2])
    pavo(*words)  # once more changes nothing


def test_review_with_feedback_from_the_shell(pavo: Pavo) -> None:
    found = waiting(pavo)
    task = found["task"]["id"]
    pavo("task", "feedback", task, "Look at the small customers", "--step", "2")
    assert "no revision has answered" in pavo("task", "accept", task, code=4)
    assert pavo.json("task", "feedback", task, "And be short", "--done")["answer"]["outcome"] == "revising"
    told = pavo("task", "watch", task)
    assert "waits for you" in told
    assert "Look at the small customers" in pavo("task", "plan", task)
    assert "Worked into step 2" in pavo("task", "plan", task, "--version", "1")
    pavo("task", "accept", task, "--hash", found["task"]["plan"]["hash"], code=4)
    assert pavo.json("task", "accept", task)["outcome"] == "accepted"
    pavo("task", "watch", task)
    assert pavo.json("task", "show", task)["stage"] == "DONE"


def test_stop_and_resume(pavo: Pavo) -> None:
    task = waiting(pavo)["task"]["id"]
    receipt = pavo.json("task", "stop", task)["receipt"]
    assert receipt["stage"] == "WAIT_RFC"
    assert "Stopped" in pavo("task", "watch", task)
    assert "Goes on" in pavo("task", "resume", task)
    assert "waits for you" in pavo("task", "watch", task)
    assert "Stopped after checkpoint 0" in pavo("task", "stop", task)


def test_commands_in_another_stage_say_what_is_true(pavo: Pavo) -> None:
    task = waiting(pavo)["task"]["id"]
    told = pavo("task", "resume", task)
    assert "plan v1 waits for you" in told and f"pavo task plan {task}" in told and "running" not in told
    pavo("task", "stop", task)
    assert "nothing to stop: the task is STOPPED" in pavo("task", "stop", task)
    assert "message" in pavo("task", "feedback", task, "Shorter", code=4)
    told = pavo("task", "message", task, "Shorter")
    assert "Added to the review" in told and f"pavo task resume {task}" in told and "--done" not in told
    pavo("task", "resume", task)
    assert "waits for you" in pavo("task", "watch", task)
    pavo("task", "accept", task, "--override-feedback")
    pavo("task", "watch", task)
    for words in (["accept", task], ["feedback", task, "--done"]):
        told = pavo("task", *words)
        assert "Plan v1 was accepted before; the task is DONE" in told and f"pavo task report {task}" in told
        assert "✓" not in told
    assert pavo.json("task", "accept", task)["outcome"] == "accepted", "programs are answered as ever"
    told = pavo("task", "feedback", task, "Too late", code=4)
    assert "plan v1 is accepted, the task is DONE" in told and "pavo task message" in told
    assert "nothing to resume" in pavo("task", "resume", task, code=4)
    assert "the task is done" in pavo("task", "stop", task)


def test_a_failed_task_is_exit_code_1_and_says_why(pavo: Pavo) -> None:
    told = pavo("run", "Fails", "--accept", *FAST, "--option", "fail_at=3", code=1)
    assert "is tried again" in told and "fail_at" in told and "pavo task resume" in told


def test_events_as_json_lines(pavo: Pavo) -> None:
    task = pavo.json("run", "Events", "--accept", *FAST)["task"]["id"]
    lines = [json.loads(line) for line in pavo("task", "watch", task, "-o", "json").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["step"] for line in lines if line["type"] == "tick"] == list(range(1, 13))
    assert len(pavo("task", "watch", task, "--after", str(len(lines) - 2)).splitlines()) == 2


def test_tasks_are_found_by_parts_of_their_id(pavo: Pavo) -> None:
    task = waiting(pavo)["task"]["id"]
    assert pavo.json("task", "show", "last")["id"] == task
    assert pavo.json("task", "show", task[-12:])["id"] == task
    assert task in pavo("task", "list", "--stage", "wait_rfc")
    assert [item["id"] for item in pavo.json("task", "list", "--limit", "1")["items"]] == [task]
    assert pavo.json("task", "delete", task)["deleted"] == task
    pavo("task", "show", task, code=3)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["task", "show", str(uuid.uuid4())], 3, "no task"),
        (["task", "show", "x"], 2, "too short"),
        (["task", "list", "--stage", "NEVER"], 2, "NEVER"),
        (["task", "start", "last"], 2, "pavo task resume ID"),
        (["task", "show", str(uuid.UUID(int=1))], 3, "See them with: pavo task list"),
        (["task", "shw"], 2, 'Did you mean "show"'),
        (["task", "run", "X"], 2, "There is `pavo run`"),
        (["accept", "last"], 2, "There is `pavo task accept`."),
        (["inbox", "accept", "last"], 2, "the commands answer, list, show"),
        (["task", "create"], 2, "`pavo schedule create`"),
        (["run"], 2, "--title"),
        (["run"], 2, "needs a title"),
        (["run", " "], 2, "title"),
        (["run", "x", "--option", "steps"], 2, "NAME=VALUE"),
        (["run", "x", "--option", "stepz=1"], 2, "stepz"),
        (["run", "x", "--agent", "no-such-agent"], 2, "no-such-agent"),
        (["run", "x", "--prompt", "@/no/such/file"], 2, "/no/such/file"),
        (["task", "list", "--url", "nowhere"], 2, "no address"),
    ],
)
def test_errors_name_cause_and_exit_code(pavo: Pavo, words: Sequence[str], code: int, told: str) -> None:
    said = pavo(*words, code=code)
    assert told in " ".join(said.split())
    assert "Traceback" not in said


def test_no_api_is_exit_code_5(pavo: Pavo) -> None:
    assert "pavo up" in pavo("task", "list", "--url", f"http://127.0.0.1:{free_port()}", code=5)


class Terminal:
    """The command on a pseudo-terminal: what it shows, and what a person types."""

    def __init__(self, pavo: Pavo, *words: str) -> None:
        master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*PAVO, *words], env=pavo.environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.master, self.seen = master, ""

    async def until(self, text: str, seconds: float = 40) -> None:
        """Read until it shows this, after what was waited for before."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            try:
                self.seen += (await asyncio.to_thread(os.read, self.master, 65536)).decode(errors="replace")
            except OSError:  # the other side is closed
                assert text in self.seen, self.seen
        self.seen = self.seen.partition(text)[2]

    def type(self, line: str) -> None:
        os.write(self.master, line.encode())

    async def end(self) -> int:
        code = await asyncio.to_thread(self.process.wait, 30)
        os.close(self.master)
        return code


async def test_a_person_comments_and_accepts(pavo: Pavo) -> None:
    terminal = Terminal(pavo, "run", "On a terminal", *FAST)
    await terminal.until("Plan v1")
    await terminal.until("ater")
    terminal.type("f\n")
    await terminal.until("›")
    terminal.type("2: Ask support too\n")
    await terminal.until("›")
    terminal.type("\n")
    await terminal.until("Plan v2")
    await terminal.until("Worked into step 2")
    await terminal.until("ater")
    terminal.type("a\n")
    await terminal.until("Plan v2 accepted")
    await terminal.until("12 of 12 checkpoints")
    await terminal.until("Done: 12 checkpoints recorded")
    assert await terminal.end() == 0


async def test_a_missing_title_is_asked_for(pavo: Pavo) -> None:
    terminal = Terminal(pavo, "run", "--prompt", "What it is about", *FAST)
    await terminal.until("Title: ")
    terminal.type("Asked for\n")
    await terminal.until("ater")
    terminal.type("what\n")
    await terminal.until("is no answer")
    await terminal.until("ater")
    terminal.type("l\n")
    await terminal.until("pavo task accept ")
    assert await terminal.end() == 0
    found = pavo.json("task", "show", "last")
    assert (found["title"], found["prompt"]) == ("Asked for", "What it is about")


def test_a_prompt_from_standard_input(pavo: Pavo) -> None:
    pavo("run", "Piped", "--prompt", "-", *FAST, typed="From a pipe\n")
    assert pavo.json("task", "show", "last")["prompt"] == "From a pipe\n"


def test_a_list_tells_what_it_left_out_and_how_to_see_it(pavo: Pavo) -> None:
    waiting(pavo)
    waiting(pavo)
    done = command.pavo(["task", "list", "--limit", "1"], pavo.environment)
    assert len(done.stdout.splitlines()) == 2  # the head and a row: for programs
    assert "there are older ones" in done.stderr and "pavo task list -n 5" in done.stderr
    wide = command.pavo(["task", "list", "--limit", "1"], {**pavo.environment, "COLUMNS": "40"})
    assert all(len(line) <= 40 for line in wide.stdout.splitlines())
    shown = wide.stdout.splitlines()[1].split()[0]
    assert pavo.json("task", "show", shown)["id"] == done.stdout.splitlines()[1].split()[0]


def test_a_list_is_as_long_as_asked_for(pavo: Pavo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a page of the API."""
    wanted = [waiting(pavo)["task"]["id"] for _ in range(3)][::-1]
    monkeypatch.setattr("pavo.cli.task.client.MAX_PAGE", 2)
    monkeypatch.setenv("PAVO_USER", pavo.environment["PAVO_USER"])
    with TaskClient.from_environment(pavo.environment["PAVO_URL"]) as tasks:
        found = tasks.newest(Wanted(), 3)
    assert [str(view.id) for view in found.items] == wanted


def test_hints_name_the_task(pavo: Pavo) -> None:
    task = waiting(pavo)["task"]["id"]
    accept = f"pavo task accept {task} --hash "
    assert accept in pavo("task", "report", task, code=3), "it waits for a person, not for time"
    assert "the newest is 1" in pavo("task", "plan", task, "--version", "9", code=3)
    assert f"pavo task plan {task}" in pavo("task", "accept", task, "--hash", "0123456789", code=4)
    pavo("task", "accept", task)
    pavo("task", "watch", task)
    stopped = pavo("task", "stop", task)
    assert "nothing to stop" in stopped and "resume" not in stopped and f"pavo task report {task}" in stopped


async def test_ctrl_c_detaches_and_the_task_goes_on(pavo: Pavo) -> None:
    terminal = Terminal(pavo, "run", "Detach", "--accept", "--option", "steps=200", "--option", "step_seconds=0.02")
    await terminal.until("of 200 checkpoints")
    terminal.process.send_signal(signal.SIGINT)
    await terminal.until("goes on without you")
    await terminal.until("pavo task stop ")
    assert await terminal.end() == 130
    assert pavo.json("task", "show", "last")["stage"] in ("EXECUTING", "DONE")
    pavo("task", "stop", "last")


def test_say_something_at_any_time(pavo: Pavo) -> None:
    task = waiting(pavo)["task"]["id"]
    said = pavo("task", "message", task, "Mind Norway")
    line = next(line for line in said.splitlines() if "pavo task feedback" in line)
    assert "comment on the whole plan" in said
    assert "Mind Norway" in pavo("task", "plan", task)
    words = line[line.index("task feedback") :].split()
    assert "the agent revises the plan" in pavo(*words)  # what is shown can be typed
    assert "TEXT" in pavo("task", "feedback", task, code=2)
    told = pavo.json("run", "Talk to me", "--accept", *FAST)
    assert "the task goes on" in pavo("task", "message", told["task"]["id"], "Thanks")


def test_the_list_is_filtered_and_says_how_to_see_more(pavo: Pavo) -> None:
    for number in range(3):
        pavo.json("run", f"Filtered it's {number}", *FAST)
    found = pavo.json(
        "task", "list", "-q", "filtered it's", "--stage", "in review", "--created-by", "me", "--since", "1h"
    )
    assert found["total"] == 3 and [item["title"][-1] for item in found["items"]] == ["2", "1", "0"]
    told = pavo("task", "list", "-q", "filtered it's", "--limit", "2", "--sort", "created")
    assert "Filtered it's 0" in told and "Filtered it's 2" not in told
    assert "No such tasks" in pavo("task", "list", "-q", "no such title at all")
    assert "--stage" in pavo("task", "list", "--stage", "soon", code=2)
    assert "since" in pavo("task", "list", "--since", "soon", code=2)
