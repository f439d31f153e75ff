"""The client against a server that misbehaves in every scripted way: an answer, or an error that says what to do."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pavo.llm.assembling import Chunk
from pavo.llm.client import CallFailed, ClientLimits, ModelClient
from pavo.llm.model_endpoints import Endpoint
from pavo.llm.retrying import Patience, ask_patiently
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server

KEY = "sk-canary-5f1c"
TEXT = "Forty-two, as far as anybody can tell."


@pytest_asyncio.fixture
async def client() -> AsyncIterator[ModelClient]:
    found = ModelClient(ClientLimits(connect_seconds=2, silence_seconds=0.5))
    yield found
    await found.close()


class Told:
    """The text of each try as it comes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def begin(self, number: int, before: str | None = None) -> Any:
        self.texts.append(before or "")

        def told(chunk: Chunk) -> None:
            self.texts[-1] += chunk.text

        return told


async def ask(client: ModelClient, script: ModelScript, told: Told | None = None, **patience: Any) -> dict[str, Any]:
    endpoint = Endpoint("default", script.server.base_url, KEY)
    given = Patience(**{"tries": 3, "seconds": 20, **patience})
    return await ask_patiently(client, endpoint, script.request("What is it?"), given, told)


async def refusal(client: ModelClient, script: ModelScript, **patience: Any) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        await ask(client, script, **patience)
    assert KEY not in failed.value.detail and KEY not in repr(failed.value)
    return failed.value


async def test_an_answer_is_put_together(client: ModelClient, model_server: ModelServer) -> None:
    tools = [{"name": "add", "arguments": {"a": 1, "b": [2]}}, {"name": "tell", "arguments": {"who": "Ünal"}}]
    script, told = model_server.script({"text": TEXT, "tools": tools}, key=KEY), Told()
    answer = await ask(client, script, told)
    [choice] = answer["choices"]
    assert choice["message"]["content"] == TEXT == told.texts[0] and choice["finish_reason"] == "tool_calls"
    first, second = choice["message"]["tool_calls"]
    assert first["function"] == {"name": "add", "arguments": '{"a": 1, "b": [2]}'} and first["id"] == "call_0"
    assert second["function"]["name"] == "tell" and "Ünal" in second["function"]["arguments"].encode().decode(
        "unicode_escape"
    )
    assert answer["object"] == "chat.completion" and answer["usage"]["completion_tokens"] > 0
    asked = script.told()["requests"][0]
    assert asked["stream"] is True and asked["stream_options"] == {"include_usage": True}


FAULTS = {
    "429": {"status": 429, "headers": {"retry-after": "0.2"}},
    "500": {"status": 500},
    "503 without a body": {"status": 503, "body": None},
    "cut at once": {"cut": 0},
    "cut in the middle": {"cut": 3},
    "stalled": {"stall": 3},
    "malformed": {"malformed": True},
    "empty choices": {"empty": True},
    "an error in the middle": {"error": "overloaded"},
    "an error as its provider ends": {
        "raw": 'data: {"id": "1", "error": {"message": "lost"}, "choices": [{"delta": {}}]}\n\n'
    },
    "packed": {"packed": True},
    "lists for objects": {"raw": 'data: {"choices": [[]]}\n\n'},
    "a number for a delta": {"raw": 'data: {"choices": [{"delta": 7}]}\n\n'},
    "an index that is none": {"raw": 'data: {"choices": [{"index": "x", "delta": {}}]}\n\n'},
    "a tower": {"raw": "data: " + "[" * 5000 + "\n\n"},
    "no stream at all": {"raw": "hello\n\n"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_what_fails_for_the_moment_is_tried_again(
    client: ModelClient, model_server: ModelServer, fault: dict[str, Any]
) -> None:
    script, told = model_server.script({"text": TEXT, "faults": [fault]}), Told()
    answer = await ask(client, script, told)
    assert answer["choices"][0]["message"]["content"] == TEXT == told.texts[-1]
    assert script.calls() == [2] and len(told.texts) == 2, "one more try, and no more than one"


async def test_a_server_that_cannot_stream(client: ModelClient, model_server: ModelServer) -> None:
    script = model_server.script({"text": TEXT, "faults": [{"whole": True}]})
    assert (await ask(client, script))["choices"][0]["message"]["content"] == TEXT and script.calls() == [1]


async def test_it_waits_as_long_as_the_server_asks(client: ModelClient, model_server: ModelServer) -> None:
    faults = [{"status": 429, "headers": {"retry-after": "1"}}, {"status": 429, "headers": {"retry-after-ms": "300"}}]
    script, begun = model_server.script({"text": TEXT, "faults": faults}), time.monotonic()
    await ask(client, script)
    assert 1.3 <= time.monotonic() - begun < 5 and script.calls() == [3]
    late = model_server.script({"text": TEXT, "faults": [{"status": 429, "headers": {"retry-after": "3600"}}]})
    failed = await refusal(client, late)
    assert failed.status == 429 and not failed.refused and late.calls() == [1], "longer than the call may take"


async def test_tries_and_seconds_are_bounded(client: ModelClient, model_server: ModelServer) -> None:
    script = model_server.script({"text": TEXT, "faults": [{"status": 500}] * 5})
    failed = await refusal(client, script, tries=2)
    assert script.calls() == [2] and "500" in failed.detail and "scripted 500" in failed.detail
    slow = model_server.script({"text": TEXT, "hold": True})
    patient = ModelClient(ClientLimits(silence_seconds=30))
    begun = time.monotonic()
    failed = await refusal(patient, slow, seconds=0.5)
    assert time.monotonic() - begun < 3 and "PAVO_LLM_SECONDS" in failed.remedy
    await patient.close()


REFUSALS = {
    "too long": (
        {"status": 400, "body": {"error": {"message": "It is a lot.", "code": "context_length_exceeded"}}},
        "It is a lot. (context_length_exceeded)",
        "Mend the request",
    ),
    "400": ({"status": 400, "body": {"error": {"message": "no such role"}}}, "no such role", "Mend the request"),
    "401": ({"status": 401, "body": {"error": f"bad key {KEY}"}}, "bad key ***", "PAVO_LLM_API_KEY"),
    "403": ({"status": 403}, "403", "PAVO_LLM_API_KEY"),
    "404": ({"status": 404, "body": {"error": {"message": "no such model"}}}, "no such model", "PAVO_LLM_MODEL"),
    "302": ({"status": 302, "headers": {"location": "http://127.0.0.1:1/"}}, "302", "PAVO_LLM_BASE_URL"),
    "no money": (
        {"status": 429, "body": {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}},
        "exceeded your quota",
        "limit at the provider",
    ),
    "giant": ({"giant": 5_000_000}, "too long an answer", "max_tokens"),
    "a line without end": ({"line": 9_000_000}, "too long an answer", "max_tokens"),
}


@pytest.mark.parametrize(("fault", "said", "remedy"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_what_another_try_does_not_mend_fails_at_once(
    client: ModelClient, model_server: ModelServer, fault: dict[str, Any], said: str, remedy: str
) -> None:
    script = model_server.script({"text": TEXT, "faults": [fault] * 3})
    failed = await refusal(client, script)
    assert failed.refused and script.calls() == [1], "asked again for nothing"
    assert said in failed.detail and remedy in failed.remedy


async def test_a_wrong_key_is_told_and_not_shown(client: ModelClient, model_server: ModelServer) -> None:
    failed = await refusal(client, model_server.script({"text": TEXT}, key="another"))
    assert failed.status == 401 and "***" in failed.detail


async def test_nobody_listens(client: ModelClient, model_server: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CallFailed) as failed:
        await ask_patiently(client, Endpoint("default", "http://127.0.0.1:9/v1", KEY), {}, Patience(tries=2))
    assert "127.0.0.1" in failed.value.detail and not failed.value.refused
    assert KEY not in caplog.text


async def test_odd_characters_are_kept_or_replaced(client: ModelClient, model_server: ModelServer) -> None:
    half = '{"choices": [{"index": 0, "delta": {"content": "%s"}, "finish_reason": %s}]}'
    parts = [half % ("a\\u0000b", "null"), half % ("\\ud83d", "null"), half % ("\\ude00", '"stop"')]
    script = model_server.script({"faults": [{"raw": "".join(f"data: {part}\r\n\r\n" for part in parts)}]})
    answer = await ask(client, script)
    assert answer["choices"][0]["message"]["content"] == "a\N{REPLACEMENT CHARACTER}b\N{GRINNING FACE}"


async def test_calls_after_each_other_share_a_connection(client: ModelClient, model_server: ModelServer) -> None:
    script = model_server.script({"text": TEXT, "tools": [{"name": "add", "arguments": {}}]})
    for _ in range(5):
        await ask(client, script)
    assert script.told()["connections"] == 1


async def test_an_answer_is_whole_where_its_stream_has_no_end(client: ModelClient, model_server: ModelServer) -> None:
    script, begun = model_server.script({"text": TEXT, "faults": [{"lingers": True}]}), time.monotonic()
    assert (await ask(client, script))["choices"][0]["message"]["content"] == TEXT and script.calls() == [1]
    assert time.monotonic() - begun < 0.45, "as late as a stream that says nothing"


async def test_many_at_once_share_connections(client: ModelClient, model_server: ModelServer) -> None:
    script = model_server.script({"text": TEXT})
    answers = await asyncio.gather(*(ask(client, script) for _ in range(50)))
    assert len(answers) == 50 and script.calls() == [50]
