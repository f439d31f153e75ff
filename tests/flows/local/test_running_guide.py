"""`docs/guides/flows-running.md` as its reader follows it, with a run of which nobody knows what became of a step."""

import asyncio
import os
import re
import shlex
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text

from pavo.flows.definition.definition import definition_of
from pavo.flows.ledger import histories, holding, recording
from pavo.flows.ledger.changes import Began, ResultKey, Unknown
from pavo.flows.ledger.records import History
from pavo.flows.runs import RunService
from pavo.kit.sql import Database
from tests.command import pavo

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
CODES = {"run": 0, "status": 5, "answer": 0, "cancel": 0}


async def prepared(url: str, organisation: uuid.UUID, flow: str) -> uuid.UUID:
    """A run whose engine was lost while it did a step."""
    database, pay = Database(url), ResultKey("pay")
    try:
        async with database.transaction() as session:
            values = {"id": organisation}
            await session.execute(text("INSERT INTO organisations (id, name) VALUES (:id, 'guide')"), values)
        definition = definition_of(flow, lambda sources: [None] * len(sources))
        run = await RunService(database).begin(organisation, definition, {})
        async with database.transaction() as session:
            hold = await holding.claim(session, "lost", 3_600.0, run)
            assert hold is not None
            await recording.commit(session, hold, 0, [Began(pay, repeatable=False)])
            await recording.commit(session, hold, 1, [Unknown(pay, "nobody knows")])
            await holding.release(session, hold, idle=True)
        return run
    finally:
        await database.close()


async def read(url: str, run: uuid.UUID) -> History:
    database = Database(url)
    try:
        async with database.transaction() as session:
            return await histories.history_of(session, run)
    finally:
        await database.close()


def test_the_guide_says_what_happens(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    guide = (root / "docs" / "guides" / "flows-running.md").read_text()
    blocks = BLOCK.findall(guide)
    assert len(blocks) == guide.count("```") // 2
    for _, name, body in blocks:
        if name:
            (tmp_path / name).write_text(body)
    organisation, url = uuid.uuid4(), environment["DATABASE_URL"]
    run = asyncio.run(prepared(url, organisation, (tmp_path / "transfer.yaml").read_text()))
    ran = list[str]()
    for kind, _, body in blocks:
        if kind != "console":
            continue
        first, *says = body.splitlines()
        words = shlex.split(first.removeprefix("$ ").replace("RUN", str(run)))
        ran.append(words[2])
        done = pavo([*words[1:], "--org", str(organisation)], {**os.environ, **environment})
        said, place = done.stdout + done.stderr, -1
        for line in says:
            for word in line.split("  "):
                place = said.find(word.strip(), place + 1)
                assert place >= 0, (word, said)
        assert done.returncode == CODES[words[2]], said
    assert set(ran) == set(CODES)
    history = asyncio.run(read(url, run))
    result = history.results[ResultKey("pay")]
    assert (result.state, result.output) == ("succeeded", {"receipt": 7})
    assert history.run.cancel_asked and history.run.cancel_compensates


def test_what_is_said_wrongly_changes_nothing(environment: dict[str, str]) -> None:
    organisation, url = uuid.uuid4(), environment["DATABASE_URL"]
    flow = "flow: f\nsteps: {pay: {tool: t@1, output: {type: object}}}"
    run = asyncio.run(prepared(url, organisation, flow))
    before = asyncio.run(read(url, run))
    org, given = ["--org", str(organisation)], {**os.environ, **environment}
    for words, code, told in (
        (["answer", str(run), "pay", "--said", "again", "--gives", "7"], 2, "--gives"),
        (["answer", str(run), "pay", "--said", "succeeded", "--gives", "{"], 2, "no JSON"),
        (["answer", str(run), "pay", "--said", "succeeded", "--gives", "7"], 2, "output"),
        (["answer", str(run), "pay", "--said", "perhaps"], 2, "perhaps"),
        (["answer", str(run), "pay", "--item", "1", "--said", "failed"], 4, "Nobody is asked"),
        (["answer", str(run), "pay", "--undo", "--said", "failed"], 4, "Nobody is asked"),
        (["answer", str(run), "other", "--said", "failed"], 4, "Nobody is asked"),
        (["answer", str(uuid.uuid4()), "pay", "--said", "failed"], 3, "There is no run"),
        (["cancel", str(uuid.uuid4())], 3, "There is no run"),
        (["cancel", "x"], 2, "x"),
    ):
        done = pavo(["flow", *words, *org], given)
        assert (done.returncode, told in done.stderr) == (code, True), (words, done)
    stranger = pavo(["flow", "cancel", str(run)], given)
    assert stranger.returncode != 0
    after = asyncio.run(read(url, run))
    assert (after.run.seq, after.run.cancel_asked, after.changes) == (before.run.seq, False, before.changes)
    assert after.results[ResultKey("pay")].is_asked
