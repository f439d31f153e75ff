"""Calls of tools and models between a worker and an agent's process."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any, Final

from pavo.agents.asking.on_wire import dump_question, load_question
from pavo.agents.calling.completion import ModelAnswer, ModelRequest, Models, Spent, checked_completion
from pavo.agents.calling.gateway import Gateway, Gateways
from pavo.agents.calling.request import ToolAnswer, ToolRequest, checked_request
from pavo.agents.contract import AgentContext
from pavo.errors import AgentRefused

MAX_IDENTITY: Final = 300
"""Characters of what names a call."""
MAX_STEP: Final = 2**31 - 1


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
    return replace(request, identity=checked_identity(identity))  # pyright: ignore[reportUnknownArgumentType]


def dump_tool_answer(answer: ToolAnswer) -> list[Any]:
    asks = None if answer.asks is None else dump_question(answer.asks)
    return [answer.value, answer.error, answer.remedy, answer.refused, asks, answer.denied]


def load_tool_answer(data: list[Any]) -> ToolAnswer:
    value, error, remedy, refused, asks, denied = data
    question = None if asks is None else load_question(asks)
    return ToolAnswer(value, error, remedy, refused, question, denied)


def dump_completion(request: ModelRequest) -> list[Any]:
    return [dict(request.body), request.endpoint, request.key, request.identity, request.shown]


def load_completion(data: object) -> ModelRequest:
    if not isinstance(data, list):
        raise TypeError("no call of a model")
    body, endpoint, key, identity, shown = data  # pyright: ignore[reportUnknownVariableType]
    try:
        request = checked_completion(body, endpoint, key)  # pyright: ignore[reportUnknownArgumentType]
    except AgentRefused as error:  # as above
        raise ValueError(error.detail) from error
    if shown is not None and (type(shown) is not int or not 0 <= shown < MAX_STEP):  # pyright: ignore
        raise TypeError("no step of an answer")
    return replace(request, identity=checked_identity(identity), shown=shown)  # pyright: ignore[reportUnknownArgumentType]


def dump_model_answer(answer: ModelAnswer) -> list[Any]:
    value = None if answer.value is None else dict(answer.value)
    asks = None if answer.asks is None else dump_question(answer.asks)
    return [value, answer.error, answer.remedy, answer.refused, answer.status, asks]


def load_model_answer(data: list[Any]) -> ModelAnswer:
    value, error, remedy, refused, status, asks = data
    return ModelAnswer(value, error, remedy, refused, status, None if asks is None else load_question(asks))


MODEL_OPS: Final = ("complete", "gateway", "spent")
"""What an agent's process asks of models."""


def look_up_model(ctx: AgentContext, asked: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """What the child asks for, as the wire has it.

    Raises:
        TypeError, ValueError, LookupError: it is no such question; before anything is done.
    """
    if asked["op"] == "complete":
        return _completed(ctx.models, load_completion(asked["request"]))
    return _opened(ctx.gateways) if asked["op"] == "gateway" else _spent(ctx.models)


class WireModels:
    """See `completion.Models` and `gateway.Gateways`: by way of the worker.

    Args:
        ask: sends a question with these members, and answers what was found.
    """

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """What came of a call."""
        return load_model_answer(await self._ask("complete", request=dump_completion(request)))

    async def spent(self) -> Spent:
        """What all of them took."""
        return Spent(*await self._ask("spent"))

    async def gateway(self) -> Gateway:
        """The gateway for this attempt."""
        return Gateway(*await self._ask("gateway"))


async def _completed(models: Models, request: ModelRequest) -> list[Any]:
    return dump_model_answer(await models.complete(request))


async def _opened(gateways: Gateways) -> list[Any]:
    found = await gateways.gateway()
    return [found.base_url, found.token]


async def _spent(models: Models) -> list[Any]:
    return list(astuple(await models.spent()))


def checked_identity(identity: object) -> str:
    """What names a call, as it came over the wire."""
    if not isinstance(identity, str) or not 0 < len(identity) <= MAX_IDENTITY:
        raise TypeError("no identity of a call")
    if not identity.isascii() or not identity.isprintable():
        raise ValueError("no identity of a call")
    return identity
