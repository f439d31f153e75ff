"""The recording gateway: other people's clients, unmodified, and what they are answered when they run again."""

import asyncio
import json
import os
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.driving import Tasks, until
from tests.guides import BLOCK
from tests.llm.framework_agents import install
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.parts import Part, Parts, free_port
from tests.plug_ins import install_module

pytest.importorskip("openai")

KEY = "sk-canary-9b3a"
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "frameworks.md"


@dataclass
class Own:
    """A stack that knows the frameworks' agents."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part
    models: ModelServer


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    [(name, guide)] = BLOCK.findall(GUIDE.read_text())
    (tmp_path_factory.getbasetemp() / name).write_text(guide)
    install_module(folder, tmp_path_factory.getbasetemp() / name, {"pavo.agents": {"wrens": "Wrens"}})
    queue, port = f"gateway-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_AGENT_CONFINEMENT": "off"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment |= {"PAVO_LLM_BASE_URL": model_server.base_url, "PAVO_LLM_API_KEY": KEY, "PAVO_LLM_MODEL": "scripted"}
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": "ada.gateway@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker, model_server)
        yield stack
    for process in (stack.worker, api):
        process.end()
        assert KEY not in process.log.read_text(), "the key is in a log"


class Asking:
    """A task whose agent runs a framework."""

    def __init__(self, own: Own, folder: Path) -> None:
        self.own, self.tasks, self.folder, self.id = own, own.tasks, folder, ""
        self.script = own.models.script({"text": "Yes."}, key=KEY)

    async def start(self, agent: str, **options: Any) -> None:
        given = {"user": self.script.name, "folder": str(self.folder), **options}
        self.id = await self.tasks.started(given, agent_type=agent, auto_accept=True)

    def asked(self) -> Counter[str]:
        return Counter(str(request["messages"][-1]["content"]) for request in self.script.told()["requests"])

    async def until_asked(self, text: str) -> None:
        async def asked() -> bool:
            return text in self.asked()

        await until(asked, what=f"the request {text!r}")

    async def done(self) -> str:
        await self.tasks.wait(self.id, "DONE")
        return next(each for each in await self.tasks.documents(self.id) if each["kind"] == "REPORT")["body"]

    def token(self) -> str:
        return (self.folder / "token").read_text()

    async def post(self, token: str | None, content: Any, **headers: str) -> httpx2.Response:
        given = {**headers, **({"authorization": f"Bearer {token}"} if token else {})}
        return await self.tasks.client.post("/llm/v1/chat/completions", headers=given, content=content)


@pytest.fixture
def asking(own: Own, tmp_path: Path) -> Asking:
    return Asking(own, tmp_path)


@pytest.mark.parametrize("agent", ["on_gateway", "on_gateway_apart"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_run_again_a_client_gets_what_it_got(asking: Asking, agent: str, stream: bool) -> None:
    (asking.folder / "fail").touch()
    await asking.start(agent, stream=stream)
    assert await asking.done() == "Yes. ['Yes.', 'Yes.', 'Yes.', 'Yes.', 'Yes.']"
    rounds = {f"round {number}": 1 for number in range(3)}
    assert asking.asked() == {"plan": 1, **rounds, "again": 2, "report": 1}, (
        "the same twice, meant twice, is asked twice"
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_pydantic_ai_runs_unmodified(asking: Asking, stream: bool) -> None:
    pytest.importorskip("pydantic_ai")
    (asking.folder / "fail").touch()
    asking.script.tell(
        {"text": None, "tools": [{"name": "weigh", "arguments": {"what": "a wren"}}]}, {"text": "7 g."}, key=KEY
    )
    await asking.start("with_pydantic_ai", stream=stream)
    assert "['7 g.']" in await asking.done()
    assert asking.asked()["What does a wren weigh?"] == 1 == asking.asked()["a wren weighs 7 g"]


async def test_what_the_guide_shows_runs(asking: Asking) -> None:
    script = ModelScript(asking.own.models, "")  # that of requests which name none
    weigh = {"name": "weigh", "arguments": {"what": "a wren"}}
    script.tell({"tools": [weigh], "faults": [{"status": 429, "headers": {"retry-after": "0.1"}}]}, {"text": "7 g."})
    asking.id = await asking.tasks.started({}, agent_type="wrens", auto_accept=True)
    assert await asking.done() == "7 g." and script.calls() == [2, 1]


@pytest.mark.fault
async def test_a_worker_killed_in_mid_answer_finds_it_when_it_begins_again(own: Own, asking: Asking) -> None:
    asking.script.tell({"text": "Yes.", "hold": "round 1"}, key=KEY)
    await asking.start("on_gateway")
    await asking.until_asked("round 1")
    old = asking.token()
    own.worker.kill()
    own.worker = await own.parts.start("worker", **own.environment)

    async def begun() -> bool:
        return asking.token() != old

    await until(begun, what="another attempt")
    refused = await asking.post(old, "{}")
    assert refused.status_code == 409 and refused.headers["x-should-retry"] == "false"
    assert "over" in refused.json()["error"]["message"]
    asking.script.release()
    await asking.done()
    assert asking.asked()["round 0"] == 1 and asking.asked()["round 2"] == 1
    assert asking.asked()["round 1"] <= 2, "in flight: once more at most"
    assert (await asking.post(asking.token(), "{}")).status_code == 409, "the attempt is over, and so is the token"


async def test_bad_requests_are_told_in_the_protocols_own_form(asking: Asking) -> None:
    asking.script.tell({"text": "Yes.", "hold": "round 0"}, key=KEY)
    await asking.start("on_gateway")
    await asking.until_asked("round 0")
    token, request = asking.token(), asking.script.request("x")
    for content, said in (
        (b"no json", "no JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "messages is missing"),
        (b'{"messages": [], "model": "x"}', "messages is missing"),
    ):
        answer = await asking.post(token, content)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["code"] == "BadRequest" and said.replace("messages is missing", "messages") in error["message"]
    for wrong in (None, "pavo-gw-guessed", "sk-other"):
        answer = await asking.post(wrong, b"{}")
        assert answer.status_code == 401 and "ctx.gateway()" in answer.json()["error"]["message"]
    nowhere = await asking.post(
        token, httpx2.Request("POST", "http://x", json=request).content, **{"x-pavo-endpoint": "b"}
    )
    assert nowhere.status_code == 400 and "no endpoint 'b'" in nowhere.json()["error"]["message"]
    asking.script.release()
    await asking.done()


async def test_what_the_server_refuses_has_its_status(asking: Asking) -> None:
    asking.script.tell({"text": "Yes.", "hold": "round 0"}, key=KEY)
    await asking.start("on_gateway")
    await asking.until_asked("round 0")
    other = asking.own.models.script({"text": "Yes.", "faults": [{"status": 400}] * 5})
    content = httpx2.Request("POST", "http://x", json=other.request("x")).content
    answer = await asking.post(asking.token(), content)
    assert answer.status_code == 400 and "scripted 400" in answer.json()["error"]["message"]
    assert KEY not in answer.text
    asking.script.release()
    await asking.done()


async def test_a_budget_that_does_not_suffice_has_a_status_of_its_own(asking: Asking) -> None:
    asking.script.tell({"text": "Yes.", "hold": "round 0"}, key=KEY)
    await asking.start("on_gateway")
    await asking.until_asked("round 0")
    limit = {"task_id": asking.id, "period": "life", "tokens": 20}
    assert (await asking.tasks.client.put("/api/budgets", json=limit)).status_code == 200
    other = asking.own.models.script({"text": "Yes."}, key=KEY)
    content = httpx2.Request("POST", "http://x", json=other.request("x")).content
    answer = await asking.post(asking.token(), content)
    assert answer.status_code == 402 and answer.headers["x-should-retry"] == "false"
    assert "20 tokens" in answer.json()["error"]["message"] and other.calls() == []
    limit["tokens"] = 10_000_000
    assert (await asking.tasks.client.put("/api/budgets", json=limit)).status_code == 200
    assert (await asking.post(asking.token(), content)).status_code == 200 and other.calls() == [1]
    asking.script.release()
    await asking.done()
    assert (await asking.tasks.get(asking.id))["usage"]["calls"] == sum(asking.asked().values()) + 1


async def test_the_same_call_made_again_by_the_client_is_one(asking: Asking) -> None:
    asking.script.tell({"text": "Yes.", "hold": "round 0"}, key=KEY)
    await asking.start("on_gateway")
    await asking.until_asked("round 0")
    other = asking.own.models.script({"text": "Yes."}, key=KEY)
    content, token = httpx2.Request("POST", "http://x", json=other.request("x")).content, asking.token()
    for again in ("0", "1", "2"):
        answer = await asking.post(token, content, **{"x-stainless-retry-count": again})
        assert answer.json()["choices"][0]["message"]["content"] == "Yes."
    assert other.calls() == [1]
    assert (await asking.post(token, content)).status_code == 200 and other.calls() == [2], "another one is meant"
    keyed = [await asking.post(token, content, **{"idempotency-key": "k"}) for _ in range(2)]
    assert [each.status_code for each in keyed] == [200, 200] and other.calls() == [3]
    asking.script.release()
    await asking.done()


class Streamed:
    """What a client is sent of a stream, as it comes."""

    def __init__(self, asking: Asking, request: dict[str, Any], **headers: str) -> None:
        self.chunks: list[dict[str, Any]] = []
        self.status, self.done = 0, False
        body = {**request, "stream": True, "stream_options": {"include_usage": True}}
        self.task = asyncio.create_task(self._run(asking, json.dumps(body), headers))

    async def _run(self, asking: Asking, body: str, headers: dict[str, str]) -> None:
        given = {"authorization": f"Bearer {asking.token()}", **headers}
        client = asking.tasks.client
        async with client.stream("POST", "/llm/v1/chat/completions", content=body, headers=given) as answer:
            self.status = answer.status_code
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    self.done = True
                elif line.startswith("data: "):
                    self.chunks.append(json.loads(line.removeprefix("data: ")))

    @property
    def text(self) -> str:
        choices = [choice for chunk in self.chunks for choice in chunk.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def reasons(self) -> list[str]:
        choices = [choice for chunk in self.chunks for choice in chunk.get("choices", ())]
        return [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]

    @property
    def error(self) -> str:
        return next((chunk["error"]["code"] for chunk in self.chunks if "error" in chunk), "")

    async def sees(self, text: str) -> None:
        async def seen() -> bool:
            return self.text.startswith(text)

        await until(seen, what=f"{text!r} to be passed on")


@asynccontextmanager
async def under_way(asking: Asking) -> AsyncGenerator[None]:
    """A task that is at work, so that its token is good."""
    asking.script.tell({"text": "Yes.", "hold": "round 0"}, key=KEY)
    await asking.start("on_gateway")
    await asking.until_asked("round 0")
    yield
    asking.script.release()
    await asking.done()


WRENS = "Wrens weigh seven grams."
LARKS = "Larks weigh forty grams."


async def test_chunks_are_passed_on_as_they_come_and_the_end_once_it_is_recorded(asking: Asking) -> None:
    async with under_way(asking):
        tools = [{"name": "weigh", "arguments": {"what": "a wren"}}]
        other = asking.own.models.script({"text": WRENS, "tools": tools, "hold": True}, key=KEY)
        stream = Streamed(asking, other.request("x"))
        await stream.sees("Wrens weigh")
        assert not stream.task.done() and not stream.reasons
        other.release()
        await asyncio.wait_for(stream.task, 20)
        assert stream.text == WRENS and stream.reasons == ["tool_calls"] and stream.done
        assert [chunk["usage"]["total_tokens"] > 0 for chunk in stream.chunks if chunk.get("usage")] == [True]
        again = Streamed(asking, other.request("x"), **{"x-stainless-retry-count": "1"})
        await asyncio.wait_for(again.task, 20)
        assert again.text == WRENS and again.done and other.calls() == [1], "recorded as one answer"


async def test_after_a_try_that_is_lost_the_same_answer_goes_on_from_where_it_was(asking: Asking) -> None:
    async with under_way(asking):
        other = asking.own.models.script({"text": WRENS, "faults": [{"cut": 3}]}, key=KEY)
        stream = Streamed(asking, other.request("x"))
        await asyncio.wait_for(stream.task, 20)
        assert stream.text == WRENS and stream.reasons == ["stop"] and stream.done and other.calls() == [2]


async def test_another_answer_after_a_lost_try_is_refused_recorded_and_found_by_the_same_call(asking: Asking) -> None:
    async with under_way(asking):
        other = asking.own.models.script({"text": WRENS, "hold": True}, key=KEY)
        stream = Streamed(asking, other.request("x"))
        await stream.sees("Wrens weigh")
        other.tell({"text": LARKS}, key=KEY)
        asking.own.models.kill()
        asking.own.models.start()
        await asyncio.wait_for(stream.task, 20)
        assert stream.error == "answer_changed" and not stream.done and WRENS.startswith(stream.text)
        again = Streamed(asking, other.request("x"))
        await asyncio.wait_for(again.task, 20)
        assert again.text == LARKS and again.done and other.calls() == [2], "it was not asked for once more"


async def test_a_client_that_goes_away_finds_the_answer_when_it_comes_again(asking: Asking) -> None:
    async with under_way(asking):
        other = asking.own.models.script({"text": WRENS, "hold": True}, key=KEY)
        stream = Streamed(asking, other.request("x"))
        await stream.sees("Wrens weigh")
        stream.task.cancel()
        await asyncio.wait({stream.task})
        other.release()

        async def answered() -> bool:
            return sum(other.told()["answered"].values()) == 1

        await until(answered, what="the answer to come to its end")
        again = Streamed(asking, other.request("x"))
        await asyncio.wait_for(again.task, 20)
        assert again.text == WRENS and again.done and other.calls() == [1]


async def test_an_answer_without_an_end_ends_its_stream_with_an_error(asking: Asking) -> None:
    async with under_way(asking):
        other = asking.own.models.script({"text": WRENS, "faults": [{"giant": 5_000_000}] * 5}, key=KEY)
        stream = Streamed(asking, other.request("x"))
        await asyncio.wait_for(stream.task, 20)
        assert stream.error == "model" and not stream.done and other.calls() == [1]
        refused = asking.own.models.script({"text": WRENS, "faults": [{"status": 400}] * 5}, key=KEY)
        stream = Streamed(asking, refused.request("x"))
        await asyncio.wait_for(stream.task, 20)
        assert stream.status == 400, "nothing was passed on yet"
