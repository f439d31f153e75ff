"""`pavo flow`, as people type it: no stack is needed."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.driving import until
from tests.flows.test_trial import REFUND

CASES = """
cases:
  - name: small sums are paid
    inputs: {ticket: T1}
    fakes:
      fetch: {output: {orders: [{id: a}, {id: b}]}}
      judge: {output: {ok: true, sum: 50}}
      report: {output: {url: "https://docs.example/1"}}
    expect:
      steps: {refuse: skipped, pay: succeeded}
      given: {pay: [{order: a, number: 0}, {order: b, number: 1}]}
      result: https://docs.example/1
      undone: []
"""


def flow(*words: str, given: str = "", rc: int = 0, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pavo.cli.main", "flow", *words]
    clean = {name: value for name, value in os.environ.items() if name != "PAVO_URL"}
    ran = subprocess.run(command, input=given, capture_output=True, text=True, cwd=folder, timeout=120, env=clean)
    assert ran.returncode == rc, (ran.stdout, ran.stderr)
    return ran


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "refund.yaml").write_text(REFUND)
    (tmp_path / "refund.cases.yaml").write_text(CASES)
    return tmp_path


def test_a_right_flow_is_said_to_be_right(folder: Path) -> None:
    told = flow("validate", "refund.yaml", folder=folder).stdout
    assert "refund is right: 8 steps" in told and "Steps that need Temporal: judge." in told
    assert "Not looked up: tools, agents, flows. No API was asked" in told
    found = json.loads(flow("validate", "-", "-o", "json", given=REFUND).stdout)
    assert found["ok"] and found["steps"] == 8 and found["only_on_temporal"] == ["judge"]
    assert [each["names"] for each in found["unchecked"]] == ["tools", "agents", "flows"]


def test_a_wrong_one_is_told_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("flow: x\nsteps:\n  a: {tol: t@1}\n  b: {sleep: soon, needs: z}\n")
    told = flow("validate", "wrong.yaml", folder=tmp_path, rc=2).stderr
    assert told.splitlines() == ["wrong.yaml:3:7: steps.a.tol: 'tol' is not known here", "    Did you mean 'tool'?"]
    found = json.loads(flow("validate", "wrong.yaml", "-o", "json", folder=tmp_path, rc=2).stdout)
    assert [each["line"] for each in found["problems"]] == [3] and not found["ok"]
    assert "No such file" in flow("validate", "nowhere.yaml", rc=2).stderr


def test_cases_are_run_with_fakes(folder: Path) -> None:
    assert "1 of 1 as expected" in flow("test", "refund.yaml", folder=folder).stdout
    cases = folder / "refund.cases.yaml"
    cases.write_text(CASES.replace("pay: succeeded", "pay: skipped").replace("order: a", "order: c"))
    told = flow("test", "refund.yaml", folder=folder, rc=1).stdout
    assert "pay: succeeded, not skipped" in told and 'pay: it is given [{"number":0,"order":"a"}' in told.replace(
        '"order":"a","number":0', '"number":0,"order":"a"'
    )
    cases.write_text(CASES.replace("judge:", "jugde:"))
    assert "Did you mean 'judge'?" in flow("test", "refund.yaml", folder=folder, rc=2).stderr
    cases.write_text(CASES.replace("{ticket: T1}", "{ticket: 7}"))
    assert "inputs: ticket: 7 is not of type 'string'" in flow("test", "refund.yaml", folder=folder, rc=1).stdout


def test_steps_are_shown_in_their_order(folder: Path) -> None:
    lines = flow("show", "refund.yaml", folder=folder).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["fetch", "judge", "route"]
    assert "flow pay-one@3, for each of up to 500" in lines[6]


def test_the_schema_is_printed() -> None:
    assert json.loads(flow("schema").stdout)["properties"]["steps"]


async def test_an_api_knows_which_tools_and_agents_there_are(stack: str, folder: Path) -> None:
    (folder / "real.yaml").write_text("flow: f\nsteps:\n  a: {tool: http_gte@1}\n  b: {agent: intrn}\n")

    async def told() -> str | None:
        ran = await asyncio.to_thread(flow, "validate", "real.yaml", "--url", stack, rc=2, folder=folder)
        return ran.stderr if "http_get" in ran.stderr else None

    found = await until(told, what="the worker's tools")
    assert "real.yaml:3:7: steps.a.tool: there is no tool 'http_gte'\n    Did you mean 'http_get'?" in found
    assert "there is no agent 'intrn'\n    Did you mean 'intern'?" in found
    (folder / "real.yaml").write_text("flow: f\nsteps:\n  a: {tool: http_get@1}\n  b: {agent: intern}\n")
    right = await asyncio.to_thread(flow, "validate", "real.yaml", "--url", stack, folder=folder)
    assert "f is right" in right.stdout and "Not looked up: tool versions." in right.stdout
    assert "No API" in flow("validate", "real.yaml", "--offline", folder=folder).stdout
    gone = await asyncio.to_thread(flow, "validate", "real.yaml", "--url", "http://127.0.0.1:1", folder=folder, rc=5)
    assert "No API answers" in gone.stderr


def test_a_template_is_written_out_and_its_cases_run(tmp_path: Path) -> None:
    assert "repository-chore" in flow("templates").stdout
    given = ["--set", "repository=acme/site", "--set", "program=codex", "--set", "tell=mail.send@1"]
    command = ["new", "chores", "--template", "repository-chore", *given]
    assert "Wrote chores.yaml and chores.cases.yaml." in flow(*command, folder=tmp_path).stdout
    assert "3 of 3 as expected" in flow("test", "chores.yaml", folder=tmp_path).stdout
    (tmp_path / "chores.yaml").write_text("mine")
    refused = flow(*command, folder=tmp_path, rc=2).stderr
    assert "There is already chores.yaml and chores.cases.yaml." in refused and "--overwrite" in refused
    assert (tmp_path / "chores.yaml").read_text() == "mine"
    found = json.loads(flow(*command, "--overwrite", "-o", "json", folder=tmp_path).stdout)
    assert found["files"] == ["chores.yaml", "chores.cases.yaml"]
    assert "job: acme/site" in (tmp_path / "chores.yaml").read_text()


def test_what_a_template_does_not_take_is_refused_and_nothing_written(tmp_path: Path) -> None:
    told = flow("new", "x", "--template", "fanout", folder=tmp_path, rc=3).stderr
    assert "Did you mean 'fan-out'?" in told
    told = flow("new", "x", "--template", "fan-out", "--set", "most=0", folder=tmp_path, rc=2).stderr
    assert "most: 0 is less than the minimum of 1" in told and "list is missing" in told
    told = flow("new", "x", "--template", "fan-out", "--set", "most", folder=tmp_path, rc=2).stderr
    assert "at --set" in told and "NAME=VALUE" in told
    wrong = ["--set", "reviewers=${{ x", "--set", "days=3"]
    told = flow("new", "x", "--template", "research-review-write", *wrong, folder=tmp_path, rc=0).stdout
    assert "Wrote" in told, "who is asked is no expression"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.cases.yaml", "x.yaml"]


def test_what_other_engines_take_becomes_a_flow(tmp_path: Path) -> None:
    (tmp_path / "old flow.json").write_text('{"steps": {"a": {"action": "x", "when": "y"}}}')
    found = json.loads(flow("convert", "old flow.json", "--from", "simple", "-o", "json", folder=tmp_path).stdout)
    assert found["flow"].startswith("flow: old_flow\n") and found["functions"] == {"x": "x"} and found["file"] is None
    assert [(each["path"], each["line"]) for each in found["left"]] == [("steps.a.when", 1)]
    (tmp_path / "there.yaml").write_text("mine")
    told = flow("convert", "old flow.json", "--from", "simple", "-O", "there.yaml", folder=tmp_path, rc=2).stderr
    assert "There is already there.yaml" in told and (tmp_path / "there.yaml").read_text() == "mine"
    wrong = flow("convert", "-", "--from", "actions", "-o", "json", given="{}", rc=2)
    assert json.loads(wrong.stdout)["problems"][0]["message"] == "there are no jobs"
    assert (
        "'Old One' is no name"
        in flow("convert", "old flow.json", *("--from", "simple", "--name", "Old One"), folder=tmp_path, rc=2).stderr
    )
