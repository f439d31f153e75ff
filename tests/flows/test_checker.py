"""Flows of strangers are checked in a process: whatever they do to it, whoever asks is answered, and others too."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from pavo.errors import Unavailable
from pavo.flows.checking import checker as module
from pavo.flows.checking.checked import KnownNames
from pavo.flows.checking.checker import AT_ONCE, FlowChecker
from pavo.flows.definition.form import json_schema
from tests.driving import until

WHO = uuid.UUID(int=1)
NOTHING = KnownNames()
RIGHT = "flow: f\nsteps: {a: {tool: t@1}}\n"


def flow(member: str) -> str:
    return f"flow: f\nsteps:\n  a: {{tool: t@1}}\n{member}\n"


@pytest_asyncio.fixture(scope="module")
async def checker() -> AsyncIterator[FlowChecker]:
    found = FlowChecker(60)
    yield found
    await found.close()


def children(module: str = "") -> set[int]:
    """Pids of the processes of flows that live."""
    found = set[int]()
    for each in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(each.info["cmdline"] or ())
        if f"pavo.flows.{module}" in words and each.info["status"] != psutil.STATUS_ZOMBIE:
            found.add(each.pid)
    return found


LONG = "s" * 50
STEPS = "".join(f"  s{n}: {{tool: t@1}}\n" for n in range(900))
HOSTILE = {
    "bytes": "#" * 1_500_000,
    "aliases": "a: &a [x]\nb: [*a, *a]",
    "depth": "[" * 300_000,
    "depth of JSON": '{"a":' * 100_000,
    "NUL": 'flow: "a\\0b"',
    "lone surrogate": "flow: \ud800",
    "lone surrogate, escaped": '{"flow": "\\ud800"}',
    "unknown needs": flow(
        "".join(f"  {LONG}{n}: {{tool: t@1, needs: [{', '.join([f'{LONG}x{n}'] * 9)}]}}\n" for n in range(900))
    ),
    "unknown members": flow("".join(f"x{n}: 1\n" for n in range(30_000))),
    "long keys": "{? " + "k" * 900_000 + " : 1}",
    "ways of a branch": flow(
        STEPS + f"  b: {{branch: [{{else: true, go: [{', '.join(f'z{n}' for n in range(9_000))}]}}]}}"
    ),
    "backslashes": flow("  b: {tool: t@1, with: {x: \"${{ '''" + "\\\\" * 2_000 + '"}}'),
    "quotes": flow('  b: {tool: t@1, with: {x: "${{ ' + "'''a" * 100_000 + '"}}'),
    "brackets": flow('  b: {tool: t@1, with: {x: "${{ ' + "(" * 900 + '}}"}}'),
    "expressions": flow('  b: {tool: t@1, with: {x: "' + "${{ run.id }}" * 30_000 + '"}}'),
    "a pattern": flow("inputs: {x: {type: string, pattern: '" + "(a{1,1000}){1,1000}" * 9 + "'}}"),
    "a costly pattern": flow(f"inputs: {{x: {{type: string, pattern: '(a+)+$', default: '{'a' * 5_000}b'}}}}"),
    "a schema of itself": flow("inputs: {x: {$ref: '#', default: 1}}"),
    "a schema elsewhere": flow("inputs: {x: {$ref: 'http://127.0.0.1:1/x', default: 1}}"),
    "a schema of many": flow(f"inputs: {{x: {{anyOf: [{', '.join(['{}'] * 50_000)}]}}}}"),
    "a number": flow(f"  b: {{tool: t@1, with: {{x: {'1' * 900_000}}}}}"),
    "a float": flow(f"  b: {{tool: t@1, with: {{x: {'1' * 900_000}.e5}}}}"),
    "a circle": flow("".join(f"  s{n}: {{tool: t@1, needs: s{(n + 1) % 900}}}\n" for n in range(900))),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_is_sent_is_answered_in_bounds(checker: FlowChecker, name: str) -> None:
    found = await checker.check(HOSTILE[name], NOTHING, WHO)
    assert not found.ok and 1 <= len(found.problems) <= 100
    assert all(each.message and each.remedy and each.line >= 1 and each.column >= 1 for each in found.problems)
    assert "longer than" not in found.problems[0].message and "memory" not in found.problems[0].message
    assert len(found.model_dump_json()) < 1_000_000


async def test_names_are_looked_up_and_what_was_not_is_said(checker: FlowChecker) -> None:
    text = "flow: f\nsteps: {a: {tool: pay@1}, b: {agent: intern}, c: {job: acme/site}, d: {python: x}}\n"
    known = KnownNames(tools={"pay": []}, agents=["intern"], repositories=["acme/site"], reasons={"python": "Why."})
    found = await checker.check(text, known, WHO)
    assert found.ok and [(each.names, each.reason) for each in found.unchecked] == [
        ("python", "Why."),
        ("tool_versions", "Workers do not tell which versions of tools they have."),
    ]
    wrong = KnownNames(tools={"pray": [2]}, agents=["intent"], repositories=[])
    told = [(each.path, each.remedy) for each in (await checker.check(text, wrong, WHO)).problems]
    assert told == [
        ("steps.a.tool", "Did you mean 'pray'?"),
        ("steps.b.agent", "Did you mean 'intent'?"),
        ("steps.c.job", "There are none."),
    ]
    [old] = (await checker.check(RIGHT, KnownNames(tools={"t": [2, 3]}), WHO)).problems
    assert old.message == "there is no 't@1'" and old.remedy == "There is t@2, t@3."


async def test_a_process_that_is_killed_or_stands_still_is_followed_by_another() -> None:
    before = children()
    own = FlowChecker(5)
    try:

        async def answers() -> bool:
            return (await own.check(RIGHT, NOTHING, WHO)).ok

        await until(answers, what="an answer within 5 s, on a busy machine too")
        [child] = children(module="checking") - before
        os.kill(child, signal.SIGKILL)
        await until(answers, what="an answer of another one")
        [child] = children(module="checking") - before
        os.kill(child, signal.SIGSTOP)
        [told] = (await own.check(RIGHT, NOTHING, WHO)).problems
        assert "longer than 5 s" in told.message and told.remedy
        await until(answers, what="an answer of a third one")
    finally:
        await own.close()

    async def ended() -> bool:
        return not children() - before

    await until(ended, what="the end of all processes")


async def test_one_person_takes_not_all_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)
    own, other = FlowChecker(60), uuid.UUID(int=2)
    try:
        asked = [asyncio.create_task(own.check(RIGHT, NOTHING, WHO)) for _ in range(AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="flows of yours"):
            await own.check(RIGHT, NOTHING, WHO)
        with pytest.raises(Unavailable, match="Other flows"):  # the first ones begin their processes meanwhile
            await own.check(RIGHT, NOTHING, other)
        asked[0].cancel()
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(not isinstance(each, BaseException) and each.ok for each in done) == 1
        monkeypatch.setattr(module, "WAIT_SECONDS", 60)
        assert (await own.check(RIGHT, NOTHING, other)).ok, "who went away has given the turn back"
    finally:
        await own.close()


def test_the_schema_in_the_package_is_the_one_that_is_published(root: Path) -> None:
    kept = json.loads((root / "src" / "pavo" / "flows" / "flow.schema.json").read_text())
    assert kept == json_schema(), "pavo flow schema > src/pavo/flows/flow.schema.json"
