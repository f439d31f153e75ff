"""Anthropic's Messages API by the gateway, asked by Anthropic's own client; and what its requests become."""

import json
from typing import Any

import pytest

from pavo.errors import BadRequest
from pavo.llm.messages.answers import message_of
from pavo.llm.messages.requests import chat_request
from tests.llm.scripted import model_server
from tests.llm.test_gateway import KEY, WRENS, Asking, Own, asking, own, under_way

anthropic = pytest.importorskip("anthropic")
__all__ = ["asking", "model_server", "own"]

WEIGH = {"name": "weigh", "description": "What it weighs", "input_schema": {"type": "object"}}
USER = {"role": "user", "content": "x"}


def test_a_conversation_becomes_messages() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}
    asked = chat_request(
        {
            "model": "m",
            "max_tokens": 50,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "What does it"}, {"type": "text", "text": "weigh?"}],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                        {"type": "text", "text": "I look."},
                        {"type": "tool_use", "id": "a", "name": "weigh", "input": {"what": "a wren"}},
                        {"type": "tool_use", "id": "b", "name": "look", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "a", "content": "no scales", "is_error": True},
                        {
                            "type": "tool_result",
                            "tool_use_id": "b",
                            "content": [{"type": "text", "text": "see"}, picture],
                        },
                        {"type": "text", "text": "And now?"},
                    ],
                },
                {"role": "assistant", "content": "Hm."},
            ],
            "tools": [WEIGH],
            "tool_choice": {"type": "tool", "name": "weigh", "disable_parallel_tool_use": True},
            "stop_sequences": ["END"],
            "metadata": {"user_id": "u"},
            "thinking": {"type": "enabled", "budget_tokens": 1000},
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            "context_management": {"edits": []},
            "stream": True,
        }
    )
    messages = asked.pop("messages")
    assert [each["role"] for each in messages] == ["system", "user", "assistant", "tool", "tool", "user", "assistant"]
    assert messages[0]["content"] == "Be brief." and messages[1]["content"] == "What does it\nweigh?"
    said = messages[2]
    assert said["content"] == "I look." and [each["id"] for each in said["tool_calls"]] == ["a", "b"]
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"what": "a wren"}
    assert messages[3] == {"role": "tool", "tool_call_id": "a", "content": "Error: no scales"}
    assert messages[4]["content"] == "see"
    assert messages[5]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
        {"type": "text", "text": "And now?"},
    ]
    [tool] = asked.pop("tools")
    assert tool["function"] == {"name": "weigh", "description": "What it weighs", "parameters": {"type": "object"}}
    assert asked.pop("response_format")["json_schema"]["schema"] == {"type": "object"}
    assert asked == {
        "model": "m",
        "max_completion_tokens": 50,
        "stop": ["END"],
        "user": "u",
        "reasoning_effort": "low",
        "tool_choice": {"type": "function", "function": {"name": "weigh"}},
        "parallel_tool_calls": False,
    }


def content(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [7]}, "messages"),
        ({"messages": [{"role": "oracle", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": 7}]}, "content"),
        (content({"type": "document"}), "document"),
        (content({"type": "tool_result", "content": "x"}), "tool_use_id"),
        (content({"type": "image", "source": {"type": "file"}}), "file"),
        (content({"type": "image"}), "source"),
        ({"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]}, "server_tool_use"),
        ({"messages": [USER], "tools": [{"type": "web_search_20250305", "name": "w"}]}, "web_search"),
        ({"messages": [USER], "tools": [WEIGH], "tool_choice": {"type": "often"}}, "tool_choice"),
        ({"messages": [USER], "output_config": {"format": {"type": "grammar"}}}, "grammar"),
        ({"messages": [USER], "output_config": "json"}, "output_config"),
        ({"messages": [USER], "mcp_servers": [{}]}, "mcp_servers"),
        ({"messages": [USER], "top_k": 5}, "top_k"),
        ({"messages": [USER], "system": [{"type": "image"}]}, "text"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_name(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        chat_request(body)
    assert said in refused.value.detail and refused.value.remedy


def test_whatever_a_model_answers_is_a_message() -> None:
    for message in ({}, {"content": None}, {"content": [1]}, {"tool_calls": [7, {"function": 7}]}, {"refusal": "No."}):
        found = message_of({}, {"choices": [{"message": message}], "usage": "much"})
        assert found["type"] == "message" and found["usage"]["input_tokens"] == 0
    for arguments, meant in (
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ("[1]", {"arguments": [1]}),
        ("{broken", {"arguments": "{broken"}),
    ):
        call = {"id": "a", "function": {"name": "weigh", "arguments": arguments}}
        found = message_of({}, {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]})
        assert found["content"] == [{"type": "tool_use", "id": "a", "name": "weigh", "input": meant}]
        assert found["stop_reason"] == "tool_use"
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    cut = message_of({}, {"choices": [{"message": {"content": "x"}, "finish_reason": "length"}], "usage": usage})
    assert cut["stop_reason"] == "max_tokens" and cut["content"] == [{"type": "text", "text": "x"}]
    assert (cut["usage"]["input_tokens"], cut["usage"]["cache_read_input_tokens"]) == (6, 4)


def client_of(asking: Asking, **key: str) -> Any:
    base = f"{asking.tasks.client.base_url}/llm".replace("//llm", "/llm")
    return anthropic.AsyncAnthropic(base_url=base, max_retries=0, **(key or {"auth_token": asking.token()}))


async def test_anthropics_client_is_answered_whole_and_streamed(own: Own, asking: Asking) -> None:
    async with under_way(asking), client_of(asking) as client:
        other = own.models.script({"tools": [{"name": "weigh", "arguments": {"a": 1}}]}, {"text": WRENS}, key=KEY)
        user = {"user_id": other.name}
        given: dict[str, Any] = {"model": "scripted", "max_tokens": 100, "metadata": user, "tools": [WEIGH]}
        first = await client.messages.create(messages=[{"role": "user", "content": "What?"}], **given)
        [call] = first.content
        assert (call.type, call.name, call.input, first.stop_reason) == ("tool_use", "weigh", {"a": 1}, "tool_use")
        said: list[Any] = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": first.content}]
        said.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "7 g"}]})
        async with client.messages.stream(messages=said, **given) as stream:
            texts = [text async for text in stream.text_stream]
            whole = await stream.get_final_message()
        assert "".join(texts) == WRENS
        assert whole.content[0].text == WRENS and whole.stop_reason == "end_turn" and whole.usage.output_tokens > 0
        again = await client.messages.create(messages=said, **given, extra_headers={"x-stainless-retry-count": "1"})
        assert again.content[0].text == WRENS and other.calls() == [1, 1], "recorded as one answer"
        async with client.messages.stream(messages=[{"role": "user", "content": "What?"}], **given) as stream:
            called = await stream.get_final_message()
        assert called.content[0].input == {"a": 1} and called.stop_reason == "tool_use"
        assert other.calls() == [2, 1], "meant twice"
        counted = await client.messages.count_tokens(model="scripted", messages=said, tools=[WEIGH])
        assert counted.input_tokens > 10 and other.calls() == [2, 1]
        async with client_of(asking, api_key=asking.token()) as by_key:
            answer = await by_key.messages.create(messages=said, **given, extra_headers={"idempotency-key": "mine"})
        assert answer.content[0].text == WRENS


async def test_text_comes_as_it_is_made(own: Own, asking: Asking) -> None:
    async with under_way(asking), client_of(asking) as client:
        other = own.models.script({"text": WRENS, "hold": True}, key=KEY)
        given: dict[str, Any] = {"model": "scripted", "max_tokens": 9, "messages": [USER]}
        said = ""
        async with client.messages.stream(**given, metadata={"user_id": other.name}) as stream:
            async for text in stream.text_stream:
                said += text
                if said == "Wrens weigh se":
                    other.release()
        assert said == WRENS


async def test_errors_have_anthropics_form(asking: Asking) -> None:
    async with under_way(asking), client_of(asking) as client:
        given: dict[str, Any] = {"model": "scripted", "max_tokens": 9, "messages": [USER]}
        with pytest.raises(anthropic.BadRequestError, match="top_k") as refused:
            await client.messages.create(**given, extra_body={"top_k": 5})
        assert refused.value.body["error"]["type"] == "invalid_request_error"
        async with client_of(asking, api_key="pavo-gw-nonsense") as nobody:
            with pytest.raises(anthropic.AuthenticationError):
                await nobody.messages.create(**given)
            with pytest.raises(anthropic.AuthenticationError):
                await nobody.messages.count_tokens(model="scripted", messages=[USER])


async def test_an_answer_that_fails_in_its_stream_says_so(own: Own, asking: Asking) -> None:
    """The model's server breaks off, and says another thing when it is asked again."""
    async with under_way(asking), client_of(asking) as client:
        other = own.models.script({"text": WRENS, "faults": [{"cut": 2}] * 9}, key=KEY)
        given: dict[str, Any] = {"model": "scripted", "max_tokens": 9, "messages": [USER]}
        with pytest.raises(anthropic.APIStatusError) as broken:
            async with client.messages.stream(**given, metadata={"user_id": other.name}) as stream:
                await stream.get_final_message()
        assert "api_error" in str(broken.value.body)
