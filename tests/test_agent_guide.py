"""`docs/guides/agent.md` as its reader follows it: every file is made, each command run, and says what is written."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts import Parts, free_port

BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
TASK = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the guide, and the lines that it says, or parts of them."""

    words: list[str]
    says: list[str]


def commands(console: str) -> list[Command]:
    found: list[Command] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append(Command(shlex.split(line[2:]), []))
        else:
            found[-1].says.append(line)
    return found


class Reader:
    """Types what the guide says, in a folder of its own."""

    def __init__(self, folder: Path, site: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._site, self._environment = folder, site, dict(environment)
        self._task = ""
        """The id of the task that was begun last: the guide writes ID."""

    def write(self, name: str, text: str) -> None:
        place = self._folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def type(self, command: Command) -> None:
        words = [word.replace("ID", self._task) if word == "ID" else word for word in command.words]
        done = subprocess.run(
            self._program(words), cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=90
        )
        said = done.stdout + done.stderr
        if words[:2] == ["pavo", "run"]:
            found = TASK.search(said)
            assert found, said
            self._task = found.group()
        for line in command.says:
            assert line.replace("ID", self._task) in said, (words, line, said)
        assert done.returncode in ((0, 1) if "There is nothing to say" in said else (0,)), (words, said)

    def _program(self, words: list[str]) -> list[str]:
        match words[0]:
            case "pavo":
                return [sys.executable, "-m", "pavo.cli.main", *words[1:]]
            case "pytest":
                return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *words[1:]]
            case "pip":  # what is installed into this environment would stay: the same into a folder
                uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
                installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
                return [*installer, "install", "-q", "--no-deps", "--target", str(self._site), "."]
            case other:
                raise AssertionError(f"The guide runs {other}, which this test does not know.")


@pytest.mark.parametrize("trials", [True, False], ids=["pytest", "pavo"])
async def test_the_guide_works_as_it_stands(root: Path, parts: Parts, tmp_path: Path, trials: bool) -> None:
    """Every file is made each time; once its trials are run, and once everything else that it says."""
    guide = (root / "docs" / "guides" / "agent.md").read_text()
    blocks = BLOCK.findall(guide)
    assert len(blocks) == guide.count("```") // 2 and len(blocks) >= 10
    site, folder = tmp_path / "site", tmp_path / "agent"
    folder.mkdir()
    port = str(free_port())
    clean = {name: value for name, value in os.environ.items() if name not in ("PAVO_TOKEN", "NO_COLOR", "COLUMNS")}
    own = {"TEMPORAL_TASK_QUEUE": f"guide-{uuid.uuid4().hex[:8]}", "PAVO_PORT": port, "PYTHONPATH": str(site)}
    reader = Reader(
        folder, site, {**clean, **own, "PAVO_URL": f"http://127.0.0.1:{port}", "PAVO_USER": "me@example.com"}
    )
    running = []
    for kind, name, text in blocks:
        if name:
            reader.write(name, text)
            continue
        assert kind == "console", f"A block of {kind} that is neither a file nor run: {text}"
        for command in commands(text):
            if command.words[0] == ("pavo" if trials else "pytest"):
                continue
            if command.words[:2] == ["pavo", "run"] and not running:
                running = [await parts.start("worker", **own), await parts.start("api", **own)]
            await asyncio.to_thread(reader.type, command)
    for process in running:
        process.end()
