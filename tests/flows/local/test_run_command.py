"""`pavo flow run`, `runs` and `status`, as processes, beside a worker."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from pavo.flows.definition.definition import definition_of
from pavo.flows.ledger import versions
from pavo.kit.sql import Database

FLOW = """
flow: greet
inputs: {names: {type: array, items: {type: string}}, most: {type: integer, default: 5}}
result: "${{ steps.way.output }}"
steps:
  nap: {sleep: 50ms}
  way: {needs: nap, branch: [{when: "${{ size(inputs.names) < inputs.most }}", go: few}, {else: true, go: many}]}
  few: {needs: way, sleep: 1ms}
  many: {needs: way, sleep: 1h}
"""


class Commands:
    """In an organisation of their own."""

    def __init__(self, environment: dict[str, str], organisation: uuid.UUID) -> None:
        self.environment, self.organisation = {**os.environ, **environment}, organisation

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "pavo.cli.main", "flow", *words, "--org", str(self.organisation)]
        done = await asyncio.to_thread(
            subprocess.run, command, env=self.environment, capture_output=True, text=True, timeout=100, check=False
        )
        return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("engine", ["local", "temporal"])
async def test_a_flow_is_run_listed_and_shown(
    engine: str, environment: dict[str, str], organisation: uuid.UUID, stack: str, tmp_path: Path
) -> None:
    file = tmp_path / "greet.yaml"
    file.write_text(FLOW)
    pavo = Commands(environment, organisation)
    code, out, err = await pavo("run", str(file), "--input", 'names=["ada","grace"]', "--engine", engine, "-o", "json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["state"], found["result"], found["engine"]) == ("succeeded", ["few"], engine)
    steps = [(each["step"], each.get("item"), each["state"]) for each in found["steps"]]
    assert steps[:2] == [("nap", None, "succeeded"), ("way", None, "succeeded")]
    assert set(steps[2:]) == {("few", None, "succeeded"), ("many", None, "skipped")}
    code, out, err = await pavo("status", found["id"])
    assert code == 0 and "greet: succeeded" in out, err
    code, out, err = await pavo("runs")
    assert code == 0 and found["id"] in out, err
    code, out, err = await pavo("run", str(file), "--input", "names=7")
    assert code == 2 and "inputs.names" in err
    code, out, err = await pavo("status", str(uuid.uuid4()))
    assert code == 3 and "There is no run" in err


async def test_a_run_that_has_others_below_it_is_executed_by_one_command(
    environment: dict[str, str], database: Database, organisation: uuid.UUID, tmp_path: Path
) -> None:
    gate = "{ask: members, expires: 300ms, on_expiry: skip}"
    asks = f'flow: asks\nresult: "${{{{ steps.ask.status }}}}"\nsteps: {{ask: {{gate: {gate}}}}}'
    definition = definition_of(asks, lambda sources: [None] * len(sources))
    async with database.transaction() as session:
        await versions.publish(session, organisation, versions.declared(definition), None)
    file = tmp_path / "above.yaml"
    file.write_text('flow: above\nresult: "${{ steps.down.output }}"\nsteps: {down: {flow: asks@1}}')
    code, out, err = await Commands(environment, organisation)("run", str(file), "-o", "json")
    assert code == 0, err
    assert (json.loads(out)["state"], json.loads(out)["result"]) == ("succeeded", "skipped")
    assert "pavo inbox answer" in err
