"""`pavo policy`: as the guide types it, and what is wrong."""

import asyncio
import json
import os
import re
import shlex
import uuid
from pathlib import Path

import pytest

from tests.command import Done, pavo
from tests.tools.calling import Own

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "approvals.md"


class Typed:
    """A user of an organisation of their own."""

    def __init__(self, own: Own) -> None:
        user = f"{uuid.uuid4().hex}@example.com"
        self.environment = {
            **os.environ,
            "PAVO_URL": str(own.tasks.client.base_url),
            "PAVO_USER": user,
            "COLUMNS": "80",
        }

    async def run(self, *words: str) -> Done:
        return await asyncio.to_thread(pavo, words, self.environment)

    async def listed(self) -> list[dict[str, object]]:
        done = await self.run("policy", "list", "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["items"]


@pytest.fixture
def typed(own: Own) -> Typed:
    return Typed(own)


async def test_what_the_guide_types(typed: Typed) -> None:
    commands = re.findall(r"^\$ pavo (policy .*)$", GUIDE.read_text(), re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        done = await typed.run(*shlex.split(command))
        assert done.returncode == 0, (command, done.stderr)
    assert "✓ What charge means" not in done.stdout and max(map(len, done.stdout.splitlines())) <= 80
    found = await typed.listed()
    assert [(each["decision"], each["tool"]) for each in found] == [
        ("ask", "charge"),
        ("deny", "mail.*"),
        ("allow", "mail.draft"),
    ]
    assert found[1]["arguments"] == {
        "type": "object",
        "properties": {"to": {"type": "string", "pattern": r"@example\.org$"}},
        "required": ["to"],
    }
    removed = await typed.run("policy", "remove", str(found[0]["id"])[-12:])
    assert removed.returncode == 0 and "charge" in removed.stdout
    assert len(await typed.listed()) == 2


async def test_what_is_wrong_is_said(typed: Typed) -> None:
    for words, code, said in (
        (("add", "perhaps", "charge"), 2, "perhaps"),
        (("add", "ask", "a b"), 2, "names no tools"),
        (("add", "ask", "x", "--argument", "to"), 2, "NAME=PATTERN"),
        (("add", "ask", "x", "--argument", "to=(?=x)"), 2, "RE2"),
        (("add", "ask", "x", "--arguments", "{"), 2, "no JSON"),
        (("add", "ask", "x", "--arguments", "{}", "--argument", "a=b"), 2, "--argument or --arguments"),
        (("add", "ask", "x", "--org", str(uuid.uuid4())), 3, "no such organisation"),
        (("remove", "0000"), 3, "pavo policy list"),
        (("remove", "0"), 2, "too short"),
    ):
        done = await typed.run("policy", *words)
        assert done.returncode == code and said in done.stderr, (words, done.returncode, done.stderr)
    assert await typed.listed() == []
