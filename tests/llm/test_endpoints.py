"""An organisation's own endpoints: who may set them, who is asked by them, with which key; and what fails, clearly."""

import base64
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import delete, func, select, update

from pavo.accounts.models import MembershipRow, OrganisationRow, UserRow
from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.agents.calling.completion import ModelAnswer, ModelRequest, checked_completion
from pavo.config import LlmSettings, SealingSettings
from pavo.errors import AgentRefused, InvalidInput, Unavailable
from pavo.kit.sql import Database
from pavo.llm.calls import ModelCalls
from pavo.llm.named import service as service_module
from pavo.llm.named.domain import EndpointValues, checked_url
from pavo.llm.named.models import ModelEndpointRow
from pavo.llm.named.service import EndpointService
from tests.driving import Tasks
from tests.llm.completing_agents import install
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.llm.test_task_models import Caller, text
from tests.llm.test_task_models import caller as caller
from tests.parts import Part, Parts, free_port

SEALING = base64.b64encode(b"e" * 32).decode()
KEY = "sk-canary-4d1f-of-the-organisation"
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "models.md"


def ring(letter: bytes = b"e") -> KeyRing:
    return KeyRing.of(SealingSettings(key=SecretStr(base64.b64encode(letter * 32).decode())))


class Naming:
    """A task whose organisation names an endpoint, beside a default one that is not there."""

    def __init__(self, caller: Caller, server: ModelServer) -> None:
        self.caller, self.server = caller, server
        self.organisation = caller.subject.organisation_id
        self.secrets = SecretService(caller.database, ring())
        self.settings = LlmSettings(tries=2, silence_seconds=5, networks="127.0.0.0/8, ::1/128")
        self.endpoints = EndpointService(caller.database, self.secrets, self.settings)

    async def begin(self, settings: LlmSettings | None = None, letter: bytes = b"e") -> None:
        """As another worker, with these settings, would."""
        calls = ModelCalls(
            self.caller.database, settings or self.settings, None, SecretService(self.caller.database, ring(letter))
        )
        self.caller.calls = calls
        self.caller.opened.append(calls)
        await self.caller.take_over()

    async def set(self, name: str = "work", url: str | None = None, **values: Any) -> None:
        await self.endpoints.set(self.organisation, name, EndpointValues(url or self.server.base_url, **values))

    async def ask(self, key: str, endpoint: str = "work", **more: Any) -> ModelAnswer:
        body = {**self.caller.script.request(key), **more}
        return await self.caller.models.complete(ModelRequest(body, endpoint, key, f"key:{key}"))


@pytest_asyncio.fixture
async def naming(caller: Caller, model_server: ModelServer) -> Naming:
    found = Naming(caller, model_server)
    await found.secrets.set(found.organisation, "WORK_KEY", f"{KEY}\n")
    await found.begin()
    return found


def refused(answer: ModelAnswer, *words: str) -> None:
    """It is refused, and says why and what to do in these words, and in none of the key's."""
    assert answer.value is None and answer.refused, answer
    told = f"{answer.error} {answer.remedy}"
    assert all(word in told for word in words) and KEY not in told, told


async def test_it_is_asked_with_the_organisations_key(naming: Naming) -> None:
    naming.caller.script.tell({"text": "Yes."}, key=KEY)
    await naming.set(secret="WORK_KEY")
    assert text(await naming.ask("a")) == "Yes."
    row = await naming.caller.row()
    assert (row.endpoint, row.model, row.state) == ("work", "scripted", "done")


async def test_a_key_that_is_set_anew_holds_at_once(naming: Naming) -> None:
    naming.caller.script.tell({"text": "Yes."}, key="sk-new")
    await naming.set(secret="WORK_KEY")
    refused(await naming.ask("a"), "401", "***", "pavo endpoint set work", "pavo secret set WORK_KEY")
    await naming.secrets.set(naming.organisation, "WORK_KEY", "sk-new")
    assert text(await naming.ask("a")) == "Yes."


async def test_what_is_recorded_outlives_the_endpoint_and_its_secret(naming: Naming) -> None:
    await naming.set(secret="WORK_KEY")
    assert text(await naming.ask("a")) == "Yes."
    await naming.secrets.remove(naming.organisation, "WORK_KEY")
    assert text(await naming.ask("a")) == "Yes."
    refused(await naming.ask("b"), "'work'", "'WORK_KEY'", "pavo secret set WORK_KEY")
    await naming.set("other")
    await naming.endpoints.remove(naming.organisation, "work")
    await naming.begin()
    assert text(await naming.ask("a")) == "Yes."
    refused(await naming.ask("b"), "'work'", "other")
    await naming.endpoints.remove(naming.organisation, "other")
    refused(await naming.ask("b"), "'work'", "pavo endpoint set")
    assert sum(naming.caller.script.calls()) == 1


async def test_another_organisations_endpoint_is_none_of_mine(naming: Naming, model_server: ModelServer) -> None:
    other = await Caller(naming.caller.database, model_server).begin()
    await naming.endpoints.set(other.subject.organisation_id, "work", EndpointValues(model_server.base_url))
    await other.close()
    refused(await naming.ask("a"), "There is no endpoint 'work'")


@pytest.mark.parametrize("value", ["sk-a\nsk-b", "sk-ä", "sk-\t", " "])
async def test_a_secret_that_no_header_may_have_is_not_sent(naming: Naming, value: str) -> None:
    await naming.secrets.set(naming.organisation, "WORK_KEY", value + KEY if value.strip() else value)
    await naming.set(secret="WORK_KEY")
    refused(await naming.ask("a"), "'WORK_KEY'", "pavo secret set")
    assert naming.caller.script.calls() == []


async def test_a_secret_that_this_process_cannot_open_is_an_outage(naming: Naming) -> None:
    await naming.set(secret="WORK_KEY")
    await naming.begin(letter=b"f")
    with pytest.raises(Unavailable, match="WORK_KEY"):
        await naming.ask("a")
    await naming.begin()
    assert text(await naming.ask("a")) == "Yes."


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_address_that_is_not_public_is_refused_at_the_connection(
    naming: Naming, host: str, scheme: str
) -> None:
    await naming.set(url=f"{scheme}://{host}:{naming.server.port}/v1")
    await naming.begin(LlmSettings(tries=2, networks="10.0.0.0/8"))
    refused(await naming.ask("a"), host, "may not be asked", "PAVO_LLM_NETWORKS")
    assert naming.caller.script.calls() == []
    if (scheme, host) == ("http", "localhost"):
        await naming.begin()
        assert text(await naming.ask("a")) == "Yes."


async def test_a_host_that_is_not_there_is_tried_again_and_then_told(naming: Naming) -> None:
    await naming.set("gone", url=f"http://127.0.0.1:{free_port()}/v1")
    await naming.set("nameless", url="https://nameless.invalid/v1")
    for name, word in (("gone", "127.0.0.1"), ("nameless", "cannot be resolved")):
        answer = await naming.ask(name, name)
        assert not answer.refused and word in str(answer.error), answer


async def test_one_that_lies_or_stalls_ends_within_its_bounds(naming: Naming) -> None:
    await naming.set()
    await naming.begin(LlmSettings(tries=1, silence_seconds=0.3, seconds=5, networks="127.0.0.0/8"))
    for number, (fault, word) in enumerate(
        [
            ({"stall": 1}, "said nothing"),
            ({"malformed": True}, "none"),
            ({"line": 9_000_000}, "too long"),
            ({"status": 302, "headers": {"location": "http://127.0.0.1/"}}, "302"),
        ]
    ):
        naming.caller.script.tell({"text": "Yes.", "faults": [fault]})
        answer = await naming.ask(f"{number}")
        assert answer.value is None and word in str(answer.error), answer


async def test_its_own_model_is_asked_where_none_is_named(naming: Naming) -> None:
    await naming.set(model="scripted-too")
    body = naming.caller.script.request("a")
    del body["model"]
    request = checked_completion({**body, "model": "endpoint:work"}, None, "a")
    assert request.endpoint == "work" and "model" not in request.body
    answer = await naming.caller.models.complete(ModelRequest(request.body, request.endpoint, "a", "key:a"))
    assert text(answer) == "Yes." and (await naming.caller.row()).model == "scripted-too"
    await naming.set()
    answer = await naming.caller.models.complete(ModelRequest(request.body, "work", "b", "key:b"))
    refused(answer, "names no model", "pavo endpoint set work --model")


async def test_the_operators_word_on_models_holds_for_them_too(naming: Naming) -> None:
    await naming.set()
    await naming.begin(LlmSettings(networks="127.0.0.0/8", models=f"completing@{naming.organisation}=allowed-*"))
    refused(await naming.ask("a"), "'scripted'", "PAVO_LLM_MODELS")
    assert text(await naming.ask("b", model="allowed-x")) == "Yes."


def test_a_model_names_its_endpoint() -> None:
    messages = [{"role": "user", "content": "?"}]

    def checked(model: str, endpoint: str | None = None) -> tuple[str | None, Any]:
        request = checked_completion({"messages": messages, "model": model}, endpoint, None)
        return request.endpoint, request.body.get("model")

    assert checked("endpoint:work/meta/llama") == ("work", "meta/llama") == checked("endpoint:work/meta/llama", "work")
    assert checked("endpoint:work") == ("work", None)
    assert checked("@cf/meta/llama") == (None, "@cf/meta/llama") and checked("openai/gpt")[0] is None
    named = checked_completion({"messages": messages, "model": "x"}, "work", None)
    assert checked_completion({"messages": messages, "model": "endpoint:work/x"}, None, None).hash == named.hash
    for model, endpoint in (
        ("endpoint:", None),
        ("endpoint:/x", None),
        ("endpoint:a b/x", None),
        ("endpoint:a/x", "b"),
    ):
        with pytest.raises(AgentRefused, match=r"request\.model"):
            checked(model, endpoint)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "models",
            "ftp://example.com",
            "https://",
            "https://:1/v1",
            "https://a b/v1",
            "https://example.com:99999",
        ),
        *(
            "https://user:pw@example.com/v1",
            "https://example.com/v1?key=x",
            "https://example.com/#x",
            "https://exämple.com",
        ),
        *(
            "http://example.com/v1",
            "https://127.0.0.1/v1",
            "https://[::1]/v1",
            "https://10.1.2.3",
            "https://169.254.169.254",
        ),
        *("https://[::ffff:10.0.0.1]/v1", f"https://example.com/{'x' * 500}"),
    ],
)
def test_what_is_no_base_url(url: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        checked_url(url, ())
    assert wrong.value.field == "base_url" and wrong.value.remedy


def test_the_end_of_a_base_url_is_left_out() -> None:
    assert checked_url(" https://api.openai.com/v1/ ", ()) == "https://api.openai.com/v1"
    assert checked_url("http://10.1.2.3:8000", LlmSettings(networks="10.0.0.0/8").allowed_networks)


async def test_no_more_than_so_many(naming: Naming, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MAX_ENDPOINTS", 1)
    await naming.set()
    await naming.set(model="another")
    with pytest.raises(service_module.Conflict):
        await naming.set("more")


async def test_they_go_with_the_organisation(naming: Naming, database: Database) -> None:
    organisation = uuid.uuid4()
    async with database.transaction() as session:
        session.add(OrganisationRow(id=organisation, name="Short"))
    await naming.endpoints.set(organisation, "work", EndpointValues("https://example.com/v1"))
    async with database.transaction() as session:
        await session.execute(delete(OrganisationRow).where(OrganisationRow.id == organisation))
    async with database.reading() as session:
        mine = select(func.count()).where(ModelEndpointRow.organisation_id == organisation)
        assert (await session.scalars(mine)).one() == 0


@dataclass
class Own:
    """A stack without a default endpoint."""

    tasks: Tasks
    worker: Part
    api: Part
    environment: dict[str, str]
    email: str
    models: ModelServer
    place: str


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    port, email = str(free_port()), f"{uuid.uuid4().hex}@example.com"
    environment = {"TEMPORAL_TASK_QUEUE": f"endpoints-{uuid.uuid4().hex[:8]}", "PAVO_PORT": port}
    environment |= {"PAVO_SEALING_KEY": SEALING, "PAVO_LLM_NETWORKS": "127.0.0.0/8", "PAVO_LOG_LEVEL": "DEBUG"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    url = f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=url, headers={"X-User-Email": email}, timeout=30) as client:
        mine = (await client.get("/api/organisations")).json()["items"][0]["id"]
        place = f"/api/organisations/{mine}"
        answer = await client.put(f"{place}/secrets/OWN_KEY", json={"value": KEY})
        assert answer.status_code == 200, answer.text
        yield Own(Tasks(client), worker, api, environment | {"PAVO_URL": url}, email, model_server, place)
    for process in (worker, api):
        process.end()
        assert KEY not in process.log.read_text(), process.name


async def test_owners_keep_them_over_http(own: Own, database: Database) -> None:
    client = own.tasks.client

    async def ask(method: str, path: str, expect: int, **request: Any) -> Any:
        answer = await client.request(method, f"{own.place}/model-endpoints{path}", **request)
        assert answer.status_code == expect and KEY not in answer.text, answer.text
        return answer.json() if answer.content else None

    values = {"base_url": "https://api.openai.com/v1/", "model": "gpt-5-mini", "secret": "OWN_KEY"}
    made = await ask("PUT", "/work", 200, json=values)
    assert {**values, "name": "work", "base_url": "https://api.openai.com/v1"}.items() <= made.items()
    assert made["set_by"] == own.email and await ask("GET", "/work", 200) == made
    assert (await ask("GET", "", 200))["items"] == [made]
    for name, changed, field in (
        ("work", {"base_url": "https://10.0.0.1/v1"}, "base_url"),
        ("work", {"secret": "ABSENT"}, "secret"),
        ("work", {"model": "a b"}, "model"),
        ("work", {"key": KEY}, "key"),
        ("default", {}, "name"),
        ("a%20b", {}, "name"),
    ):
        problem = await ask("PUT", f"/{name}", 422, json={**values, **changed})
        assert problem["field"] == field and problem["remedy"], problem
    assert (await ask("GET", "", 200))["items"] == [made], "what is refused changes nothing"
    stranger = {"X-User-Email": f"{uuid.uuid4().hex}@example.org"}
    for method, path in (("GET", ""), ("GET", "/work"), ("PUT", "/work"), ("DELETE", "/work")):
        await ask(method, path, 404, headers=stranger, json=values if method == "PUT" else None)
    async with database.transaction() as session:
        user = (await session.scalars(select(UserRow.id).where(UserRow.email == own.email))).one()
        await session.execute(update(MembershipRow).where(MembershipRow.user_id == user).values(role="member"))
    for method, path in (("GET", ""), ("GET", "/work"), ("PUT", "/work"), ("DELETE", "/work")):
        await ask(method, path, 403, json=values if method == "PUT" else None)
    async with database.transaction() as session:
        await session.execute(update(MembershipRow).where(MembershipRow.user_id == user).values(role="owner"))
    await ask("DELETE", "/work", 204)
    assert (await ask("DELETE", "/work", 404))["remedy"]


@pytest.mark.parametrize("agent", ["completing", "completing_apart"])
async def test_a_task_is_answered_by_the_endpoint_that_it_names(own: Own, agent: str) -> None:
    script = own.models.script({"text": "Yes."}, key=KEY)
    values = {"base_url": own.models.base_url, "secret": "OWN_KEY"}
    name = f"for-{agent}"
    assert (await own.tasks.client.put(f"{own.place}/model-endpoints/{name}", json=values)).status_code == 200
    options = {"user": script.name, "more": {"model": f"endpoint:{name}/scripted"}}
    task_id = await own.tasks.started(options, agent_type=agent, auto_accept=True)
    await own.tasks.wait(task_id, "DONE")
    [report] = [each for each in await own.tasks.documents(task_id) if each["kind"] == "REPORT"]
    assert report["body"].startswith("Yes.")
    if agent == "completing_apart":
        assert report["body"].endswith("[]"), "no key in its environment"


async def test_what_the_guide_shows_runs(own: Own, environment: dict[str, str], tmp_path: Path) -> None:
    [block] = re.findall(r'^```sh title="work"\n(.*?)^```$', GUIDE.read_text(), re.M | re.S)
    plan = '{"goal": "Sum up.", "steps": [{"title": "Sum up"}], "risks": [], "tools": []}'
    script = {"answers": [{"text": "Summed up."}], "formed": [{"text": plan}], "key": KEY}
    unnamed = f"http://127.0.0.1:{own.models.port}/scripts/"
    async with httpx2.AsyncClient() as client:
        assert (await client.put(unnamed, json=script)).status_code == 200
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    told = block.replace("https://models.example.com/v1", own.models.base_url)
    assert told != block
    shell = {**os.environ, **environment, **own.environment, "PAVO_USER": own.email}
    shell["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    organisation = own.place.rpartition("/")[2]
    told = re.sub(r"^(pavo (?:secret|endpoint) .*?)( <|$)", rf"\1 --org {organisation}\2", told, flags=re.M)
    done = subprocess.run(["bash", "-euc", told], cwd=tmp_path, env=shell, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Summed up." in said and KEY not in said, said
