"""The coding program's models through Pavo: no key at the agent, usage and budget of the job, fenced by its attempt."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
import pytest_asyncio

from pavo.jobs import contracts as c
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb
from tests.driving import until
from tests.fleet.conftest import SEALING_KEY, Commands
from tests.fleet.fake_agent import FakeAgent, agent
from tests.fleet.rows import Job, Rows
from tests.forges.small_forge import FACES, Forge, User, has_git_over_http
from tests.jobs.organisations import Person, somebody
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Parts, free_port

KEY = "sk-of-the-provider-7c1f"
ASKS = """
import json, os, sys, urllib.error, urllib.request
asked = {"model": "scripted", "messages": [{"role": "user", "content": sys.stdin.read()}], "user": sys.argv[1]}
headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
try:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode(), headers), timeout=60) as said:
        text = json.load(said)["choices"][0]["message"]["content"]
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
    sys.exit(7)
open("answer.txt", "w").write(text)
print("done", os.environ.get("PAVO_LLM_API_KEY", "no key"))
"""
"""A coding program: asks a model once, and writes what it says."""


@dataclass(frozen=True)
class Stack:
    """API, worker and gateway that know the scripted server."""

    api: str
    gateway: str
    models: ModelServer


@pytest_asyncio.fixture(scope="module")
async def stack(parts: Parts, model_server: ModelServer) -> AsyncIterator[Stack]:
    api, gateway = free_port(), free_port()
    shared: dict[str, Any] = {"TEMPORAL_TASK_QUEUE": f"models-{uuid.uuid4().hex[:8]}", "PAVO_SEALING_KEY": SEALING_KEY}
    keys = {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": KEY, "PAVO_LLM_MODEL": "scripted"}
    url = f"http://127.0.0.1:{api}"
    of_api = shared | keys | {"PAVO_PORT": str(api)}
    of_gateway = shared | {"PAVO_GATEWAY_PORT": str(gateway), "PAVO_GATEWAY_MODELS_URL": f"{url}/llm/v1/"}
    started = [
        await parts.start("worker", **shared),
        await parts.start("api", **of_api),
        await parts.start("gateway", command=True, **of_gateway),
    ]
    yield Stack(url, f"127.0.0.1:{gateway}", model_server)
    for each in started:
        each.end()


async def credential(there: FakeAgent, job: Job) -> Any:
    asked = pb.CredentialRequest(job_id=job.id, epoch=job.epoch, purpose="model")
    return await there.stub.Credential(asked, metadata=there.metadata)


async def refusal(there: FakeAgent, job: Job) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await credential(there, job)
    return refused.value.code(), refused.value.details() or ""


async def wanting(rows: Rows) -> Job:
    """A job whose models are asked through Pavo."""
    job = await rows.job()
    await rows.run("""UPDATE jobs SET options = '{"gateway": true}' WHERE id = :id""", id=job.uuid)
    return job


async def ask(stack: Stack, token: str, request: dict[str, Any]) -> tuple[int, str]:
    async with httpx2.AsyncClient(timeout=60) as client:
        headers = {"authorization": f"Bearer {token}"}
        answer = await client.post(f"{stack.api}/llm/v1/chat/completions", json=request, headers=headers)
    return answer.status_code, answer.text


async def limit(rows: Rows, job: Job | None, tokens: int) -> None:
    await rows.run(
        "INSERT INTO budgets (id, organisation_id, task_id, period, max_tokens, began) "
        "VALUES (gen_random_uuid(), :organisation, :job, 'life', :tokens, to_timestamp(0))",
        organisation=rows.organisation_id,
        job=job.uuid if job else None,
        tokens=tokens,
    )


async def test_a_token_is_good_for_its_attempt_alone(stack: Stack, rows: Rows) -> None:
    script = stack.models.script({"text": "Yes."}, key=KEY)
    async with (
        agent(stack.gateway, await rows.token()) as builder,
        agent(stack.gateway, await rows.token("thief"), "thief") as thief,
    ):
        await builder.connect()
        await thief.connect()
        plain, job = await rows.job(), await wanting(rows)
        code, told = await refusal(builder, plain)
        assert code == grpc.StatusCode.FAILED_PRECONDITION and "--gateway" in told
        assert (await refusal(thief, job))[0] == grpc.StatusCode.PERMISSION_DENIED
        found = await credential(builder, job)
        assert found.base_url == f"{stack.api}/llm/v1" and KEY not in found.password and found.expires_at_ms > 0
        assert (await ask(stack, found.password, script.request("Hello")))[0] == 200
        [call] = await rows.run("SELECT * FROM usage_calls WHERE task_id = :id", id=job.uuid)
        assert (call.organisation_id, call.agent, call.state) == (rows.organisation_id, "command", "settled")
        # A lease that has run out, an attempt that is over, one that was lost: refused at once.
        for change, back in (
            ("lease_until = pavo_now() - interval '1 second'", "lease_until = pavo_now() + interval '1 hour'"),
            ("stage = 'FAILED'", "stage = 'EXECUTING'"),
            ("epoch = 2", "epoch = 1"),
        ):
            await rows.run(f"UPDATE jobs SET {change} WHERE id = :id", id=job.uuid)
            status, told = await ask(stack, found.password, script.request("Hello"))
            assert status == 409 and "another attempt" in told, change
            await rows.run(f"UPDATE jobs SET {back} WHERE id = :id", id=job.uuid)
        assert (await ask(stack, found.password, script.request("Hello")))[0] == 200
        await rows.revoke()
        assert (await ask(stack, found.password, script.request("Hello")))[0] == 409
        assert (await ask(stack, "pavo-gw-nonsense", script.request("Hello")))[0] == 401
        assert len(await rows.run("SELECT * FROM usage_calls WHERE task_id = :id", id=job.uuid)) == 2


@pytest.mark.parametrize("whose", ["job", "organisation"])
async def test_a_spent_budget_refuses_and_ends_the_attempt_for_that(
    stack: Stack, rows: Rows, commands: Commands, whose: str
) -> None:
    script = stack.models.script({"text": "Yes."}, key=KEY)
    async with agent(stack.gateway, await rows.token()) as builder:
        await builder.connect()
        job = await wanting(rows)
        await limit(rows, job if whose == "job" else None, 5)
        running = await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        assert command.start_execution.program.gateway
        token = (await credential(builder, job)).password
        status, told = await ask(stack, token, script.request("Hello"))
        assert status == 402 and "budget of 5 tokens" in told and "queue the job again" in told
        assert script.calls() == []
        # The program says that it is done, whatever it was refused.
        await builder.answer(command, executed=pb.Executed(changed=True, summary="All done!"))
        async with asyncio.timeout(30):
            assert await running.result() == c.CommandOutcome("failed", error="BudgetSpent")


async def test_whoever_is_answered_again_is_not_ended(stack: Stack, rows: Rows, commands: Commands) -> None:
    script = stack.models.script({"text": "Yes."}, key=KEY)
    async with agent(stack.gateway, await rows.token()) as builder:
        await builder.connect()
        job = await wanting(rows)
        await limit(rows, job, 5)
        running = await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        token = (await credential(builder, job)).password
        assert (await ask(stack, token, script.request("Hello")))[0] == 402
        await rows.run("UPDATE budgets SET max_tokens = 10000000 WHERE task_id = :id", id=job.uuid)
        assert (await ask(stack, token, script.request("Hello")))[0] == 200
        await builder.answer(command, executed=pb.Executed(changed=True))
        async with asyncio.timeout(30):
            assert (await running.result()).kind == "done"


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    if not has_git_over_http():
        pytest.skip("git http-backend is not installed")
    with Forge(tmp_path_factory.mktemp("forge"), FACES) as found:
        found.tokens["token-that-writes"] = User("ada")
        found.make_repository("acme/app", {"README.md": "Hello\n"})
        yield found


async def over(owner: Person, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        nonlocal found
        found = (await owner.client.get(f"/api/jobs/{job_id}")).json()
        return found["stage"] in ("DONE", "FAILED", "CANCELLED")

    await until(is_over, seconds=120, what="the job to end")
    return found


async def test_a_real_agent_has_no_key_and_spends_the_jobs_budget(
    stack: Stack, forge: Forge, database: Database, tmp_path: Path
) -> None:
    script = stack.models.script({"text": "Forty-two."}, key=KEY)
    async with somebody(stack.api) as owner:
        await owner.client.put(
            f"/api/organisations/{owner.organisation_id}/secrets/GIT", json={"value": "token-that-writes"}
        )
        await owner.post(
            "repositories", status=201, name="app", clone_url=forge.clone_url("acme/app"), credential="GIT"
        )
        token = (await owner.post("agent-tokens", status=201, name="test"))["secret"]
        log = (tmp_path / "agent.log").open("wb")
        words = ["--url", f"http://{stack.gateway}", "--name", "one", "--state", str(tmp_path / "state")]
        environment = {name: value for name, value in os.environ.items() if "KEY" not in name}
        process = subprocess.Popen(
            [sys.executable, "-m", "pavo.cli.main", "agent", "run", *words],
            env={**environment, "PAVO_AGENT_TOKEN": token, "no_proxy": "*"},
            stdout=log,
            stderr=log,
        )
        try:
            options = {"command": [sys.executable, "-c", ASKS, script.name], "gateway": True}
            new = {"repository": "app", "prompt": "What is it?", "program": "command", "options": options}
            refused = await owner.post("jobs", status=422, **{**new, "options": {}}, budgets=[{"tokens": 5}])
            assert refused["field"] == "budgets" and "--gateway" in refused["remedy"]
            job = await owner.post("jobs", status=201, **new, budgets=[{"tokens": 5}])
            assert [each["tokens"] for each in job["budgets"]] == [5] and job["usage"] is None
            failed = await over(owner, job["id"])
            assert (failed["stage"], failed["error"]["type"]) == ("FAILED", "BudgetSpent"), failed
            assert "This job has a budget of 5 tokens" in failed["error"]["cause"]
            assert f"pavo budget set life --job {job['id']}" in failed["error"]["remedy"]
            assert script.calls() == []
            said = (await owner.client.get(f"/api/jobs/{job['id']}/logs")).text
            assert "402" in said and "budget of 5 tokens" in said
            raised = {"task_id": job["id"], "period": "life", "tokens": 10_000_000}
            assert (await owner.client.put("/api/budgets", json=raised)).status_code == 200
            assert (await owner.client.post(f"/api/jobs/{job['id']}/requeue")).status_code == 200
            done = await over(owner, job["id"])
            assert done["stage"] == "DONE", done
            assert forge.file("acme/app", done["branch"], "answer.txt") == "Forty-two."
            assert done["usage"]["calls"] == 1 and done["usage"]["tokens_in"] > 0
            assert done["budgets"][0]["used_tokens"] == done["usage"]["tokens_in"] + done["usage"]["tokens_out"]
            listed = (await owner.get("jobs"))["items"][0]
            assert listed["budgets"] == done["budgets"] and listed["usage"] == done["usage"]
            used = (await owner.client.get("/api/usage", params={"by": "task"})).json()
            assert [(each["key"], each["label"], each["calls"]) for each in used["items"]] == [
                (job["id"], "What is it?", 1)
            ]
        finally:
            process.kill()
            process.wait()
            log.close()
    left = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert left == [], "the provider's key is on the agent's machine"
