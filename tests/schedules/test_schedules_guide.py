"""`docs/guides/schedules.md` as its reader follows it: every file is made, each command run, and says that."""

import re
import shlex
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.shell import Typed, shell_of

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
REFUSED = 'pavo schedule next --cron "0 0 13 * FRI"'


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process's zone, for what is shown in local time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


async def test_the_guide_says_what_happens(
    root: Path, stack: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_utc: None
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = shell_of(monkeypatch, stack, f"{uuid.uuid4().hex}@example.com", environment["DATABASE_URL"])
    guide = (root / "docs" / "guides" / "schedules.md").read_text()
    blocks = BLOCK.findall(guide)
    assert len(blocks) == guide.count("```") // 2 and len(blocks) >= 10
    ran = set[str]()
    for kind, name, text in blocks:
        if name:
            (tmp_path / name).write_text(text)
            continue
        assert kind == "console", text
        for command in re.split(r"^\$ ", text, flags=re.M)[1:]:
            first, *says = command.splitlines()
            words = shlex.split(first)[1:]
            ran.add(words[1])
            said = told(await shell.type(*words, code=2 if first == REFUSED else 0))
            place = -1
            for line in says:
                place = said.find(line, place + 1)
                assert place >= 0, (first, line, said)
    assert ran == {
        "create",
        "list",
        "show",
        "next",
        "pause",
        "trigger",
        "firings",
        "resume",
        "set",
        "backfill",
        "delete",
    }


def told(typed: Typed) -> str:
    return typed.stdout + typed.stderr
