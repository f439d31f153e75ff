"""Calls of tools and models between a worker and an agent's process."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pavo.agents.asking.on_wire import dump_question, load_question
from pavo.agents.calling.completion import ModelAnswer, ModelRequest, checked_completion
from pavo.agents.calling.gateway import Gateways
from pavo.agents.calling.request import ToolAnswer, ToolRequest, checked_request
from pavo.errors import AgentRefused

MAX_IDENTITY: Final = 300
"""Characters of what names a call."""


def dump_tools(tools: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [dict(each) for each in tools]


def dump_request(request: ToolRequest) -> list[Any]:
    return [request.tool, dict(request.arguments), request.key, request.identity]


def load_request(data: object) -> ToolRequest:
    if not isinstance(data, list):
        raise TypeError("no call of a tool")
    tool, arguments, key, identity = data  # pyright: ignore[reportUnknownVariableType]
    try:
        request = checked_request(tool, arguments, key)  # pyright: ignore[reportUnknownArgumentType]
    except AgentRefused as error:  # the host in the agent's process has checked it: this comes past that
        raise ValueError(error.detail) from error
    return replace(request, identity=_identity(identity))  # pyright: ignore[reportUnknownArgumentType]


def dump_tool_answer(answer: ToolAnswer) -> list[Any]:
    asks = None if answer.asks is None else dump_question(answer.asks)
    return [answer.value, answer.error, answer.remedy, answer.refused, asks, answer.denied]


def load_tool_answer(data: list[Any]) -> ToolAnswer:
    value, error, remedy, refused, asks, denied = data
    question = None if asks is None else load_question(asks)
    return ToolAnswer(value, error, remedy, refused, question, denied)


def dump_completion(request: ModelRequest) -> list[Any]:
    return [dict(request.body), request.endpoint, request.key, request.identity]


def load_completion(data: object) -> ModelRequest:
    if not isinstance(data, list):
        raise TypeError("no call of a model")
    body, endpoint, key, identity = data  # pyright: ignore[reportUnknownVariableType]
    try:
        request = checked_completion(body, endpoint, key)  # pyright: ignore[reportUnknownArgumentType]
    except AgentRefused as error:  # as above
        raise ValueError(error.detail) from error
    return replace(request, identity=_identity(identity))  # pyright: ignore[reportUnknownArgumentType]


def dump_model_answer(answer: ModelAnswer) -> list[Any]:
    value = None if answer.value is None else dict(answer.value)
    asks = None if answer.asks is None else dump_question(answer.asks)
    return [value, answer.error, answer.remedy, answer.refused, answer.status, asks]


def load_model_answer(data: list[Any]) -> ModelAnswer:
    value, error, remedy, refused, status, asks = data
    return ModelAnswer(value, error, remedy, refused, status, None if asks is None else load_question(asks))


async def opened(gateways: Gateways) -> list[Any]:
    """What the agent's process is handed for a gateway."""
    found = await gateways.gateway()
    return [found.base_url, found.token]


def _identity(identity: object) -> str:
    if not isinstance(identity, str) or not 0 < len(identity) <= MAX_IDENTITY:
        raise TypeError("no identity of a call")
    if not identity.isascii() or not identity.isprintable():
        raise ValueError("no identity of a call")
    return identity
