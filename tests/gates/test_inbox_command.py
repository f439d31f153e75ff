"""`pavo inbox`: what waits, and answering it as people type."""

import asyncio
import io
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from pavo.cli.inbox import answers
from pavo.cli.output import console
from pavo.errors import InvalidInput
from pavo.gates.schemas import GateOut
from pavo.tools.ledger import ANSWERS
from tests.command import Done, pavo
from tests.gates.asking import ADA, Asked, question

ESCAPE = "\x1b]0;gone\x07"


async def run(asked: Asked, *words: str) -> Done:
    environment = {**os.environ, "PAVO_URL": str(asked.client.base_url), "PAVO_USER": ADA}
    return await asyncio.to_thread(pavo, words, environment)


async def said(asked: Asked, *words: str) -> Any:
    done = await run(asked, *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_listed_shown_and_answered(asked: Asked) -> None:
    text = f"Where to?{ESCAPE} " + "It matters. " * 40
    await asked.start("asking", question("where", text, choices=["staging", "production"]), question("why", "Why?"))
    where, why = await asked.gates(count=2)
    await asked.rests("WAITING:where, why")

    listed = await said(asked, "inbox", "list", "--kind", "question", "--mine", "--sort=-since", "-n", "500")
    assert {where["id"], why["id"]} <= {item["id"] for item in listed["items"]}
    own = await said(asked, "inbox", "list", "--org", where["organisation_id"], "--task", asked.id)
    assert {where["id"], why["id"]} == {item["id"] for item in own["items"]}
    foreign = await run(asked, "inbox", "list", "--org", str(uuid.uuid4()))
    assert foreign.returncode == 3 and "no such organisation" in foreign.stderr
    shown = await run(asked, "inbox", "list", "-n", "1")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) == 2, "no terminal: a head, and a line a row"
    assert ESCAPE not in (await run(asked, "inbox", "show", where["id"])).stdout
    task = (await run(asked, "task", "show", asked.id)).stdout
    assert "1  staging" in task and f"pavo inbox answer {where['id']} 1" in task

    several = await run(asked, "inbox", "answer", asked.id, "2")
    assert several.returncode == 2 and "may be 2 questions" in several.stderr
    none = await run(asked, "inbox", "answer", where["id"], "3")
    assert none.returncode == 2 and "from 1 to 2" in none.stderr
    missing = await run(asked, "inbox", "answer", where["id"])
    assert missing.returncode == 2 and f"pavo inbox answer {where['id']} ANSWER" in missing.stderr
    assert (await run(asked, "inbox", "show", str(uuid.uuid4()))).returncode == 3

    done = await said(asked, "inbox", "answer", where["id"][-12:], "2", "--note", "as agreed")
    assert (done["answer"], done["answered_by"], done["note"]) == ("production", ADA, "as agreed")
    late = await run(asked, "inbox", "answer", where["id"], "1")
    assert late.returncode == 4 and ADA in late.stderr
    assert (await run(asked, "inbox", "answer", asked.id, "12")).returncode == 0, "by its task's id, and as text"
    assert await asked.done() == "{'where': 'production', 'why': '12'}"


def gate(**more: Any) -> GateOut:
    at = "2026-11-26T08:00:00Z"
    given = {
        **{"id": uuid.uuid4(), "organisation_id": uuid.uuid4(), "subject_id": uuid.uuid4(), "kind": "question"},
        **{"key": "k", "text": "What?", "hash": "h", "schema": {"type": "string"}, "choices": [], "state": "open"},
        **{"answered_by": None, "note": "", "opened_at": at, "expires_at": None, "answered_at": None},
        "has_default": False,
    }
    return GateOut.model_validate({**given, **more})


def test_what_is_typed_is_what_the_question_asks_for() -> None:
    digits = gate(choices=["2", "1"])
    assert [answers.typed(digits, text) for text in ("1", "2")] == ["1", "2"], "the choice itself before its number"
    named = gate(choices=["left", "right"])
    assert [answers.typed(named, text) for text in ("2", "left")] == ["right", "left"]
    assert answers.typed(gate(), "12") == "12"
    assert answers.typed(gate(schema={"type": "integer"}), "12") == 12
    happened = gate(kind="effect", schema=dict(ANSWERS))
    assert [answers.typed(happened, text) for text in ("no", '"no"', '{"yes": 7}')] == ["no", "no", {"yes": 7}]
    for asked, text in ((happened, "maybe"), (named, "0"), (named, "3"), (named, "²"), (gate(schema={}), "{x")):
        with pytest.raises(InvalidInput) as wrong:
            answers.typed(asked, text)
        assert wrong.value.field == "ANSWER" and wrong.value.remedy


def test_a_person_is_asked_again_until_it_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(*lines: str) -> Any:
        left: Iterator[str] = iter(lines)
        monkeypatch.setattr("builtins.input", lambda *_: next(left))
        out = console()
        out.file = io.StringIO()
        return answers.ask(gate(choices=["left", "right"]), out)

    assert answered("up", "2") == "right"
    assert answered("up", "") is None
