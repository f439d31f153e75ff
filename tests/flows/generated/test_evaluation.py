"""The evaluation set and its scoring, against a scripted model: right answers pass, others do not. What models do that
are none of ours, `make eval` says."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest_asyncio
from bench.generating.cases import EvaluationCase, evaluation_set, merged, world
from bench.generating.running import Evaluation, Result, opened
from bench.generating.scoring import PROPOSED, TRIED, score
from bench.generating.table import WIDTH, document, lines

from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.generated.examined import Proposal, examine
from pavo.flows.generated.generating import Generated
from pavo.llm.model_endpoints import Endpoint
from tests.llm.scripted import ModelScript, ModelServer

CASES = evaluation_set()
FLOWS = [each for each in CASES if each.expect is not None]
OTHER = "flow: other\nsteps: {a: {sleep: 1s}}\n"
Says: TypeAlias = Callable[[EvaluationCase], list[str]]
Run: TypeAlias = Callable[[Sequence[EvaluationCase], Says], Awaitable[list[Result]]]


@pytest_asyncio.fixture
async def run(model_server: ModelServer) -> AsyncIterator[Run]:
    """Has the model say to each case what a function says, in turn."""
    name = uuid.uuid4().hex
    endpoint = Endpoint("scripted", model_server.base_url, None, "scripted")
    async with opened() as (client, examiner):
        evaluation = Evaluation(client, examiner, endpoint, 4, lambda case: f"{name}-{case.id}")

        async def each(cases: Sequence[EvaluationCase], says: Says) -> list[Result]:
            for case in cases:
                ModelScript(model_server, f"{name}-{case.id}").tell(*({"text": text} for text in says(case)))
            return [*await asyncio.gather(*map(evaluation.run, cases))]

        yield each


async def test_right_answers_pass(run: Run, root: Path) -> None:
    assert len(CASES) >= 60 and {each.kind for each in CASES} >= {"scratch", "edits", "repairs", "refusals"}
    results = await run(CASES, lambda case: [case.right])
    assert [(each.case.id, each.outcome, each.score.missing) for each in results if not each.score.passed] == []
    shown = list(lines(results))
    assert all(len(line) <= WIDTH for line in shown) and shown[-1].split()[:3] == [
        "all",
        str(len(CASES)),
        str(len(CASES)),
    ]
    guide = (root / "docs" / "guides" / "flows-generated.md").read_text()
    assert [line for line in shown[1:] if " ".join(line.split()[:6]) not in " ".join(guide.split())] == []
    assert all(each["rounds"] == 1 and each["tokens_in"] for each in document(results))


def test_what_was_not_asked_for_passes_nowhere(evaluator: Evaluator) -> None:
    """Another flow, the flow before as it was, a refusal: each fails, and no case is so lax that one passes."""
    offered = world()

    def passes(case: EvaluationCase, flow: str) -> bool:
        seen = examine(Proposal(flow=flow, before=case.before, known=offered.known), evaluator)
        outcome = "proposed" if seen.checked.ok else "failed"
        return score(case, Generated(outcome, 1, examination=seen if seen.checked.ok else None)).passed

    assert [each.id for each in CASES if passes(each, OTHER)] == []
    assert [each.id for each in FLOWS if each.before is not None and passes(each, each.before)] == []
    assert [each.id for each in FLOWS if score(each, Generated("refused", 1)).passed] == []


async def test_prose_is_no_refusal(run: Run) -> None:
    refused = [each for each in CASES if each.expect is None][:1]
    [result] = await run(refused, lambda _: ["It is Paris."])
    assert (result.outcome, result.rounds, result.score.holding) == ("failed", 3, 0)


async def test_what_is_left_out_is_missed(run: Run) -> None:
    case = next(each for each in CASES if each.id == "load-with-check")
    whole = case.right.replace("compensate: true", "compensate: false")
    cases = "```cases\ncases:\n  - {name: x, inputs: {day: d}, expect: {outcome: cancelled}}\n```\n"
    [result] = await run([case], lambda _: [whole + cases])
    assert set(result.score.missing) == {"on_failure.compensate is True", TRIED}
    assert result.outcome == "proposed" and result.rounds == 3
    shown = list(lines([result]))
    assert shown[-1].startswith("missed load-with-check (proposed): ") and len(shown[-1]) <= WIDTH


async def test_a_second_answer_counts(run: Run) -> None:
    case = next(each for each in CASES if each.id == "one-tool")
    [result] = await run([case], lambda case: [case.right.replace("mail.send", "mail.sent"), case.right])
    assert result.score.passed and result.rounds == 2
    [result] = await run([case], lambda case: [case.right.replace("mail.send", "mail.sent")])
    assert (result.outcome, result.rounds) == ("failed", 3) and PROPOSED in result.score.missing
    assert "there is no tool 'mail.sent'" in result.told


def test_the_program_says_what_came_of_it(model_server: ModelServer, tmp_path: Path, root: Path) -> None:
    script = ModelScript(model_server, "")
    script.tell({"text": "REFUSE: No."})
    words = ["--model", "m", "--only", "refuse-sms,one-tool", "--json", str(tmp_path / "r.json")]
    command = [sys.executable, "-m", "bench.generating", "--base-url", model_server.base_url, *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[-1].startswith("missed one-tool (refused): a right flow is proposed") and "refusals" in done.stdout
    assert [each["passed"] for each in json.loads((tmp_path / "r.json").read_text())] == [False, True]


def test_patches_are_merged() -> None:
    assert merged({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}, "e": [1]}) == {"b": {"c": 2, "d": 3}, "e": [1]}
