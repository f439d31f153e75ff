"""OpenAI's Responses API by the gateway, asked by OpenAI's own client; and what its requests become."""

import asyncio
import json
from typing import Any

import pytest

from pavo.errors import BadRequest
from pavo.llm.responses.answers import response_of
from pavo.llm.responses.requests import chat_request
from tests.driving import until
from tests.llm.scripted import model_server
from tests.llm.test_gateway import KEY, WRENS, Asking, Own, asking, own, under_way

openai = pytest.importorskip("openai")
__all__ = ["asking", "model_server", "own"]

WEIGH = {"type": "function", "name": "weigh", "parameters": {"type": "object"}, "strict": False}


def test_a_conversation_becomes_messages() -> None:
    texts = [{"type": "input_text", "text": "What does it"}, {"type": "input_text", "text": "weigh?"}]
    picture = [{"type": "input_text", "text": "This?"}, {"type": "input_image", "image_url": "data:x", "detail": "low"}]
    asked = chat_request(
        {
            "model": "m",
            "instructions": "Be brief.",
            "input": [
                {"role": "developer", "content": "In German."},
                {"type": "message", "role": "user", "content": texts},
                {"type": "reasoning", "id": "r", "summary": []},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
                {"type": "function_call", "call_id": "a", "name": "weigh", "arguments": "{}"},
                {"type": "custom_tool_call", "call_id": "b", "name": "patch", "input": "*** x"},
                {"type": "function_call_output", "call_id": "a", "output": "7 g"},
                {"role": "user", "content": picture},
            ],
            "tools": [WEIGH, {"type": "custom", "name": "patch"}],
            "tool_choice": {"type": "function", "name": "weigh"},
            "max_output_tokens": 50,
            "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
            "store": True,
            "include": ["reasoning.encrypted_content"],
            "stream": True,
        }
    )
    messages = asked.pop("messages")
    assert [each["role"] for each in messages] == ["system", "system", "user", "assistant", "tool", "user"]
    assert (
        messages[2]["content"] == "What does it\nweigh?" and messages[5]["content"][1]["image_url"]["detail"] == "low"
    )
    calls = messages[3]["tool_calls"]
    assert [each["id"] for each in calls] == ["a", "b"] and messages[3]["content"] == "I look."
    assert json.loads(calls[1]["function"]["arguments"]) == {"input": "*** x"}
    assert messages[4] == {"role": "tool", "tool_call_id": "a", "content": "7 g"}
    functions = [each["function"] for each in asked.pop("tools")]
    assert [each["name"] for each in functions] == ["weigh", "patch"] and "input" in functions[1]["parameters"][
        "properties"
    ]
    assert asked == {
        "model": "m",
        "tool_choice": {"type": "function", "function": {"name": "weigh"}},
        "max_completion_tokens": 50,
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "x", "conversation": "c"}, "conversation"),
        ({"input": "x", "background": True}, "background"),
        ({}, "input"),
        ({"input": [7]}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        ({"input": [{"role": "oracle", "content": "x"}]}, "role"),
        ({"input": [{"role": "user", "content": 7}]}, "content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input_file"),
        ({"input": [{"type": "function_call", "name": 7}]}, "arguments"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "web_search"),
        ({"input": "x", "tools": [WEIGH], "tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"input": "x", "text": {"format": {"type": "grammar"}}}, "grammar"),
        ({"input": "x", "text": "json"}, "text"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_name(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        chat_request(body)
    assert said in refused.value.detail and refused.value.remedy


def test_whatever_a_model_answers_is_a_response() -> None:
    for message in ({}, {"content": None}, {"content": [1]}, {"tool_calls": [7, {"function": 7}]}, {"refusal": "No."}):
        found = response_of({}, {"choices": [{"message": message}], "usage": "much"}, frozenset())
        assert found["output"] and found["status"] == "completed" and found["usage"] is None
    call = {"id": "a", "function": {"name": "patch", "arguments": '{"input": "*** x"}'}}
    [item] = response_of({}, {"choices": [{"message": {"tool_calls": [call]}}]}, frozenset(("patch",)))["output"]
    assert (item["type"], item["input"], item["call_id"]) == ("custom_tool_call", "*** x", "a")
    cut = response_of({}, {"choices": [{"message": {"content": "x"}, "finish_reason": "length"}]}, frozenset())
    assert cut["status"] == "incomplete" and cut["incomplete_details"] == {"reason": "max_output_tokens"}


def client_of(asking: Asking) -> Any:
    base = f"{asking.tasks.client.base_url}/llm/v1".replace("//llm", "/llm")
    return openai.AsyncOpenAI(base_url=base, api_key=asking.token(), max_retries=0)


async def test_openais_client_is_answered_whole_and_streamed(own: Own, asking: Asking) -> None:
    async with under_way(asking), client_of(asking) as client:
        other = own.models.script({"tools": [{"name": "weigh", "arguments": {"a": 1}}]}, {"text": WRENS}, key=KEY)
        given: dict[str, Any] = {"model": "scripted", "user": other.name, "tools": [WEIGH]}
        first = await client.responses.create(input="What?", **given)
        [call] = first.output
        assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weigh", {"a": 1})
        said = [{"role": "user", "content": "What?"}, call.model_dump(exclude_none=True)]
        said.append({"type": "function_call_output", "call_id": call.call_id, "output": "7 g"})
        kinds: list[str] = []
        async with client.responses.stream(input=said, **given) as stream:
            async for event in stream:
                kinds.append(event.type)
            whole = await stream.get_final_response()
        assert whole.output_text == WRENS and whole.status == "completed" and whole.usage.total_tokens > 0
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
        assert "response.output_text.delta" in kinds and len(set(kinds)) == 9
        again = await client.responses.create(input=said, **given, extra_headers={"x-stainless-retry-count": "1"})
        assert again.output_text == WRENS and other.calls() == [1, 1], "recorded as one answer"
        kinds = [event.type async for event in await client.responses.create(input="What?", stream=True, **given)]
        assert "response.function_call_arguments.done" in kinds and other.calls() == [2, 1]
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            await client.responses.create(input="x", model="scripted", previous_response_id="resp_1")


async def test_text_comes_as_it_is_made(own: Own, asking: Asking) -> None:
    async with under_way(asking), client_of(asking) as client:
        other = own.models.script({"text": WRENS, "hold": True}, key=KEY)
        said = ""
        async for event in await client.responses.create(input="x", model="scripted", user=other.name, stream=True):
            if event.type == "response.output_text.delta":
                said += event.delta
                if said == "Wrens weigh se":
                    other.release()
        assert said == WRENS


async def test_a_stream_that_comes_to_no_answer_says_so(own: Own, asking: Asking) -> None:
    async with under_way(asking), client_of(asking) as client:
        other = own.models.script({"text": WRENS, "faults": [{"giant": 5_000_000}] * 5}, key=KEY)
        stream = await client.responses.create(input="x", model="scripted", user=other.name, stream=True)
        events = [event async for event in stream]
        assert events[-1].type == "response.failed" and events[-1].response.error.code == "model"


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
async def test_a_client_that_goes_away_unstreamed_finds_the_answer(own: Own, asking: Asking, path: str) -> None:
    async with under_way(asking):
        other = own.models.script({"text": WRENS, "hold": True}, key=KEY)
        said = {"input": "x", "model": "scripted", "user": other.name} if path == "responses" else other.request("x")
        headers = {"authorization": f"Bearer {asking.token()}"}

        async def post() -> Any:
            return await asking.tasks.client.post(f"/llm/v1/{path}", json=said, headers=headers)

        first = asyncio.create_task(post())

        async def asked() -> bool:
            return other.calls() == [1]

        await until(asked, what="the model to be asked")
        first.cancel()
        await asyncio.wait({first})
        other.release()

        async def answered() -> bool:
            return sum(other.told()["answered"].values()) == 1

        await until(answered, what="the answer to come to its end")
        again = await post()
        assert again.status_code == 200 and WRENS in again.text and other.calls() == [1], "it was asked for once more"
