"""`docs/guides/flows-generated.md` as its reader follows it: each command is run, and says that."""

import re
import shlex
import uuid
from pathlib import Path

import pytest

from tests.flows.generated.conftest import said
from tests.jobs.shell import shell_of
from tests.llm.scripted import ModelScript

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
GOOD = """flow: good_day
steps:
  rest: {sleep: 1m}
  ask:
    needs: rest
    gate: {ask: owners, question: Was the day good?, form: {good: {type: boolean, default: false}}, expires: 1d}
"""
CASES = "cases:\n  - {name: people are asked, expect: {steps: {ask: succeeded}}}\n"
ANSWERS = {
    "wait for": said(GOOD, CASES),
    "a minute": said(GOOD.replace("1m", "1h"), CASES),
    "ring the": {"text": "REFUSE: No tool rings a bell."},
}


async def test_the_guide_says_what_happens(
    root: Path,
    asking_api: str,
    environment: dict[str, str],
    script: ModelScript,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = shell_of(monkeypatch, asking_api, f"{uuid.uuid4().hex}@example.com", environment["DATABASE_URL"])
    guide = (root / "docs" / "guides" / "flows-generated.md").read_text()
    blocks, accept = [each for each in BLOCK.findall(guide) if each.startswith("$ pavo flow")], ""
    assert len(blocks) == 5
    for text in blocks:
        first, *says = text.splitlines()
        words = shlex.split(first.removeprefix("$ "))[1:]
        if words[1] == "new":
            script.tell(ANSWERS[words[2][:8]])
        refused = words[2].startswith("ring")
        typed = await shell.type(*(accept if word == "HASH" else word for word in words), code=1 if refused else 0)
        accept = next(iter(re.findall(r"--accept ([0-9a-f]{64})$", typed.stdout, re.M)), accept)
        place = -1
        for line in says:
            place = typed.stdout.find(line, place + 1)
            assert place >= 0, (line, typed.stdout)
