"""`pavo policy`: as the guide types it, and what is wrong."""

import asyncio
import io
import json
import os
import re
import shlex
import uuid
from pathlib import Path

import pytest
from rich.console import Console

from pavo.cli.inbox import answers
from pavo.gates.schemas import GateOut
from tests.command import Done, pavo
from tests.tools.calling import ADA, Called, Own

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "approvals.md"


class Typed:
    """A user of an organisation of their own."""

    def __init__(self, own: Own) -> None:
        user = f"{uuid.uuid4().hex}@example.com"
        self.environment = {
            **os.environ,
            "PAVO_URL": str(own.tasks.client.base_url),
            "PAVO_USER": user,
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
    assert "mail.draft" in done.stdout and "writer" in done.stdout
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


async def test_an_approval_is_read_and_answered_in_80_columns(own: Own, called: Called) -> None:
    asks = [{"decision": "ask", "tool": "pay", "note": "Ada knows"}]
    await called.start("calling", called.one("pay", amount=5), policies=asks)
    gate = GateOut.model_validate(await called.gate())
    out = io.StringIO()
    answers.print_open(Console(file=out, width=80), gate)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and any('"amount": 5' in line for line in lines), lines
    for told in ("May pay be called?", "Ada knows", "1  allow", "2  allow for this task", "3  deny"):
        assert any(told in line for line in lines), (told, lines)
    environment = {**os.environ, "PAVO_URL": str(own.tasks.client.base_url), "PAVO_USER": ADA}
    words = ("inbox", "answer", str(gate.id)[-12:], "3", "--note", "not today")
    done = await asyncio.to_thread(pavo, words, environment)
    assert done.returncode == 0, done.stderr
    assert "denied this call of pay: not today" in await called.done() and called.told("pay") == []
