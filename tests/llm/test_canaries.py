"""Words planted as secrets, keys and prompts are found where they belong, and nowhere else.

What is planted: the organisation's secrets, one of which an agent puts into an error, and one that is the key of an
endpoint of its own; the key of the models' provider;
the keys of sealing, sessions and Temporal's payloads; PostgreSQL's password; a task's prompt, what its agents ask
models, what those answer, and a tool's arguments.
"""

import asyncio
import base64
import json
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from temporalio.client import Client

from tests.driving import Tasks, until
from tests.llm.canaries import Canaries, children_of, in_histories, in_redis
from tests.llm.canary_agents import install
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Part, Parts, Stores, free_port

STRANGERS = ["canary_stranger", "canary_stranger_apart"]
TRUSTED = ["canary_trusted", "canary_trusted_apart"]
REFUSED = ["refused", "refused by its own"]
SECRETS = {
    *("secret", "provider key", "sealing key", "session key", "codec key", "codec token", "database password"),
    *("gateway token", "endpoint key"),
}
BELONGS = {
    "prompt": {"tasks.prompt"},
    "argument": {"tasks.agent_options", "tool_calls.arguments", "events.data"},  # people see what tools are called with
    "answered": {"model_calls.answer"},
    "raised": set[str](),  # what an agent raises quotes no secret
    "asked": set[str](),  # of what a model is asked a hash is kept, no word
}
"""By what was planted, the columns of PostgreSQL where it belongs; secrets belong in none, for they are sealed."""
CONVERSED = {
    "prompt": {"tasks.prompt", "transcript_messages.body"},
    "argument": {"events.data", "model_calls.answer", "tool_calls.arguments", "transcript_messages.body"},
    "answered": {
        *("model_calls.answer", "transcript_messages.body", "events.data"),
        *("executions.checkpoint", "documents.body", "documents.content"),  # the last answer is in the report
    },
}
"""The same for what the agent `llm` is told and says: its conversation is its task's transcript."""


@dataclass
class Planted:
    """A stack where everything secret is a canary, and tasks of four agents that are in the middle of a call."""

    canaries: Canaries
    tasks: Tasks
    parts: list[Part]
    script: ModelScript
    queue: str
    place: str
    codec_key: bytes

    async def start(self, agent: str, script: ModelScript, **more: Any) -> str:
        words = self.canaries.words
        options = {"script": script.name, "asked": words["asked"][::-1], "argument": words["argument"], **more}
        return await self.tasks.started(options, agent_type=agent, auto_accept=True, prompt=words["prompt"])


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    found = Canaries()
    for name in (*(SECRETS - {"gateway token"}), *BELONGS):
        found.plant(name)
    return found


@pytest.fixture(scope="module")
def database_url(stores: Stores, environment: dict[str, str], canaries: Canaries) -> Iterator[str]:
    """PostgreSQL's URL for a user whose password is a canary."""
    user, password = f"canary_{uuid.uuid4().hex[:8]}", canaries.words["database password"]
    with psycopg.connect(stores.database_url, autocommit=True) as connection:
        name = sql.Identifier(user)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(name, sql.Literal(password)))
    parts = urlsplit(environment["DATABASE_URL"])
    yield parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
    with psycopg.connect(stores.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(name))


@pytest_asyncio.fixture(scope="module")
async def planted(
    parts: Parts,
    canaries: Canaries,
    database_url: str,
    model_server: ModelServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Planted]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, words = f"canaries-{uuid.uuid4().hex[:8]}", canaries.words
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": str(free_port()), "DATABASE_URL": database_url}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment |= {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_MODEL": "scripted"}
    environment |= {"PAVO_LLM_API_KEY": words["provider key"], "PAVO_SECRET_KEY": words["session key"]}
    environment |= {"PAVO_SEALING_KEY": base64.b64encode(words["sealing key"].encode()).decode()}
    environment |= {"PAVO_TEMPORAL_CODEC_KEY": base64.b64encode(words["codec key"].encode()).decode()}
    environment |= {"PAVO_TEMPORAL_CODEC_TOKEN": words["codec token"], "PAVO_LLM_NETWORKS": "127.0.0.0/8"}
    environment |= {"PAVO_LLM_SILENCE_SECONDS": "60", "PAVO_LOG_LEVEL": "DEBUG"}  # what is held is not stalled
    running = [await parts.start(name, **environment) for name in ("worker", "api")]
    headers = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    base_url = f"http://127.0.0.1:{environment['PAVO_PORT']}"
    async with httpx2.AsyncClient(base_url=base_url, headers=headers, timeout=30) as client:
        mine = (await client.get("/api/organisations")).json()["items"][0]["id"]
        script = model_server.script({"text": words["answered"], "hold": "held: "}, key=words["provider key"])
        place = f"/api/organisations/{mine}/secrets"
        yield Planted(canaries, Tasks(client), running, script, queue, place, words["codec key"].encode())
    for process in running:
        process.end()


async def test_each_word_is_where_it_belongs_and_nowhere_else(
    planted: Planted, model_server: ModelServer, temporal: Client, environment: dict[str, str]
) -> None:
    words, told = planted.canaries.words, list[str]()
    await set_secrets(planted, told)
    await name_endpoint(planted, model_server, told)
    ids = {agent: await planted.start(agent, planted.script, raises=agent in TRUSTED) for agent in STRANGERS + TRUSTED}

    refusing = model_server.script({"text": "Yes."}, key="another")

    async def all_asked() -> bool:
        return len(planted.script.told()["requests"]) == len(ids)

    await until(all_asked, what="four agents in the middle of a call")
    ids["refused"] = await planted.start("canary_stranger_apart", refusing)
    # Its key goes to its own server, by ctx.complete and by the gateway; and to one that refuses and repeats it.
    ids["refused by its own"] = await planted.start("canary_stranger", refusing, model="endpoint:own/scripted")
    named = model_server.script({"text": words["answered"]}, key=words["endpoint key"])
    for agent in STRANGERS:
        ids[f"{agent} with its own"] = await planted.start(agent, named, model="endpoint:own/scripted")
    note_gateway_tokens(planted)
    children = children_of(planted.parts[0].pid)
    assert len(children) >= 2, "the two agents that are isolated"
    for child, held in children.items():
        assert b"PATH=" in held[0], "environments can be read"
        assert planted.canaries.within(held) == set(), f"in the environment or the arguments of {child}"
    in_flight = await in_redis(environment["REDIS_URL"])
    planted.script.release()
    for name, task_id in ids.items():
        await planted.tasks.wait(task_id, "FAILED" if name in TRUSTED or name in REFUSED else "DONE")
    failed = {name: (await planted.tasks.get(ids[name]))["error"] for name in (*TRUSTED, *REFUSED)}
    for name in TRUSTED:  # the first time as an error that is tried again, which the log of the task has too
        logs = (await planted.tasks.client.get(f"/api/tasks/{ids[name]}/logs")).text
        assert failed[name]["type"] == "AgentRefused" and "RuntimeError" in logs, (failed[name], logs)
    for name in REFUSED:
        assert "401" in failed[name]["cause"], "the models' server repeats the key that it refuses"
    await is_in_columns(planted, environment["DATABASE_URL"])
    await is_told_nowhere(planted, ids, told)
    histories = await in_histories(temporal, f'TaskQueue = "{planted.queue}"', planted.codec_key)
    for task_id in ids.values():
        workflow = (await planted.tasks.get(task_id))["workflow_id"]
        assert any(task_id.encode() in each for each in histories[workflow]), "histories are read, and payloads opened"
    found = {name: planted.canaries.within(held) for name, held in histories.items()}
    assert {name: held for name, held in found.items() if held} == {}, "in Temporal"
    in_flight += await in_redis(environment["REDIS_URL"])
    assert in_flight and planted.canaries.within(in_flight) == set(), "in Redis"
    assert words["asked"] in json.dumps(planted.script.told()), "the models were asked"


async def test_a_conversation_is_in_its_transcript_and_not_in_histories_logs_or_redis(
    planted: Planted, model_server: ModelServer, temporal: Client, environment: dict[str, str]
) -> None:
    said = Canaries()
    prompt, argument, answered = (said.plant(name) for name in CONVERSED)
    plan = {"goal": "Weigh it.", "steps": [{"title": "Weigh it"}], "risks": [], "tools": ["weigh"]}
    call = {"text": None, "tools": [{"name": "weigh", "arguments": {"what": argument}}]}
    script = {"answers": [call, {"text": answered}], "formed": [{"text": json.dumps(plan)}]}
    script["key"] = planted.canaries.words["provider key"]
    unnamed = f"http://127.0.0.1:{model_server.port}/scripts/"
    assert httpx2.put(unnamed, content=json.dumps(script)).status_code == 200
    task_id = await planted.tasks.started({}, agent_type="llm", auto_accept=True, prompt=prompt)
    workflow = (await planted.tasks.wait(task_id, "DONE"))["workflow_id"]
    connection = await psycopg.AsyncConnection.connect(environment["DATABASE_URL"])
    async with connection:
        assert await said.in_database(connection) == CONVERSED
    held = await in_histories(temporal, f'WorkflowId = "{workflow}"', planted.codec_key)
    assert said.within(held[workflow]) == set() == said.within(await in_redis(environment["REDIS_URL"]))
    for part in planted.parts:
        assert said.within([await asyncio.to_thread(part.log.read_text)]) == set(), part.name


async def set_secrets(planted: Planted, told: list[str]) -> None:
    """The two secrets, and answers to what is wrong with them."""
    client, words = planted.tasks.client, planted.canaries.words
    for name, word in (("TOKEN", "secret"), ("RAISED", "raised")):
        answer = await client.put(f"{planted.place}/{name}", json={"value": words[word]})
        assert answer.status_code == 200, answer.text
        told.append(answer.text)
    for name, body in (("a%20b", {"value": words["secret"]}), ("X", {"value": [words["secret"]]}), ("X", words)):
        answer = await client.put(f"{planted.place}/{name}", json=body)
        assert answer.status_code == 422, answer.text
        told.append(answer.text)
    told += [(await client.get(planted.place)).text, (await client.get(f"{planted.place[:-1]}-changes")).text]
    wrong = await client.post("/llm/v1/chat/completions", headers={"authorization": f"Bearer {words['secret']}"})
    assert wrong.status_code == 401
    told.append(wrong.text)


async def name_endpoint(planted: Planted, server: ModelServer, told: list[str]) -> None:
    """An endpoint of the organisation's own, with a key of its own; and answers to what is wrong with one."""
    client, place, words = planted.tasks.client, planted.place.rpartition("/")[0], planted.canaries.words
    answer = await client.put(f"{planted.place}/OWN_KEY", json={"value": words["endpoint key"]})
    told.append(answer.text)
    for name, body, status in (
        ("own", {"base_url": server.base_url, "secret": "OWN_KEY"}, 200),
        ("own", {"base_url": f"https://{words['endpoint key']}@example.com", "secret": "OWN_KEY"}, 422),
        ("own", {"base_url": server.base_url, "api_key": words["endpoint key"]}, 422),
    ):
        answer = await client.put(f"{place}/model-endpoints/{name}", json=body)
        assert answer.status_code == status, answer.text
        told.append(answer.text)
    told.append((await client.get(f"{place}/model-endpoints")).text)


def note_gateway_tokens(planted: Planted) -> None:
    """The agents told the models their tokens of the gateway, for these to be looked for too."""
    for number, request in enumerate(planted.script.told()["requests"]):
        token = request["messages"][0]["content"].split()[-1]
        assert token.startswith("pavo-gw-")
        planted.canaries.words[f"gateway token {number}"] = token


async def is_in_columns(planted: Planted, url: str) -> None:
    connection = await psycopg.AsyncConnection.connect(url)
    async with connection:
        found = await planted.canaries.in_database(connection)
    assert found == {name: BELONGS.get(name, set()) for name in planted.canaries.words}


async def is_told_nowhere(planted: Planted, ids: dict[str, str], told: list[str]) -> None:
    """Logs and the API's answers tell those who may see the task what is of it, and no secret, raised or not."""
    client, within = planted.tasks.client, planted.canaries.within
    for name, task_id in ids.items():
        called = set[str]() if name in REFUSED else {"argument"}
        for what, expected in (
            ("", {"prompt", "argument"}),
            ("/events?limit=1000", called),
            ("/logs", set[str]()),
            ("/artifacts", set[str]()),
            ("/documents", set[str]()),
            ("/transcript", set[str]()),
        ):
            answer = await client.get(f"/api/tasks/{task_id}{what}")
            assert answer.status_code == 200, answer.text
            assert within([answer.text]) == expected, (name, what)
        again = await client.post(f"/api/tasks/{task_id}/start")
        assert again.status_code == 409 and within([again.text]) == set(), again.text
    told.append((await client.get("/metrics")).text)
    assert within(told) == set(), "in an answer of the API"
    worker, api = [within([await asyncio.to_thread(part.log.read_text)]) for part in planted.parts]
    assert worker == set() == api, "in a log"


def test_a_word_is_found_in_every_form(canaries: Canaries) -> None:
    word = canaries.words["secret"]
    assert canaries.within([word, b"\0" + word.encode()]) == {"secret"}
    for before in ("", "a", "ab", "abc"):
        whole = f"{before}{word} and more".encode()
        assert canaries.within([base64.b64encode(whole)]) == {"secret"} == canaries.within([whole.hex()])
    assert canaries.within([word[1:], base64.b64encode(word[:16].encode())]) == set()
