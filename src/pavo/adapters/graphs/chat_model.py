"""A chat model for LangGraph's nodes, which asks through Pavo. It needs the extra `langgraph`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from pavo.adapters.working import complete
from pavo.errors import AgentRefused


class ChatModel(BaseChatModel):
    """Asks by `ctx.complete` of the agent that runs the graph: each answer is recorded, and never asked for again.

    For `async` nodes (`await model.ainvoke(…)`), with tools (`bind_tools`) and structured output. Answers come whole.
    """

    model: str | None = None
    """Default: that of the endpoint. The task's option `model` holds in its place."""
    endpoint: str | None = None
    """Name of another endpoint than the default one. The task's option `endpoint` holds in its place."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Further members of each request, such as `temperature`."""

    @property
    def _llm_type(self) -> str:
        return "pavo"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with these tools."""
        given: dict[str, Any] = {"tools": [convert_to_openai_tool(tool) for tool in tools], **kwargs}
        if tool_choice is not None:
            given["tool_choice"] = _choice(tool_choice)
        return self.bind(**given)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request: dict[str, Any] = {**self.parameters, "messages": convert_to_openai_messages(messages)}
        for name in ("tools", "tool_choice", "response_format", "parallel_tool_calls", "temperature", "max_tokens"):
            if kwargs.get(name) is not None:
                request[name] = kwargs[name]
        if stop is not None:
            request["stop"] = stop
        if self.model is not None:
            request["model"] = self.model
        return _result(await complete(request, self.endpoint))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise AgentRefused(
            "The chat model of Pavo asks in coroutines alone.",
            remedy="Write the node as `async def`, and await model.ainvoke(…).",
        )


def _choice(given: str) -> Any:
    if given == "any":
        return "required"
    if given in ("auto", "none", "required"):
        return given
    return {"type": "function", "function": {"name": given}}


def _result(completion: Mapping[str, Any]) -> ChatResult:
    choice: Mapping[str, Any] = completion["choices"][0]
    message: Mapping[str, Any] = choice["message"]
    valid: list[Any] = []
    invalid: list[Any] = []
    for call in cast(Sequence[Any], message.get("tool_calls") or ()):
        try:
            valid.append(parse_tool_call(call, return_id=True))
        except Exception as error:  # noqa: BLE001 - what a model made up, which the graph hands back to it
            invalid.append(make_invalid_tool_call(call, str(error)))
    answer = AIMessage(
        content=message.get("content") or "",
        tool_calls=valid,
        invalid_tool_calls=invalid,
        usage_metadata=_usage(completion),
        response_metadata={"finish_reason": choice.get("finish_reason"), "model_name": completion.get("model")},
    )
    return ChatResult(generations=[ChatGeneration(message=answer)])


def _usage(completion: Mapping[str, Any]) -> UsageMetadata | None:
    told: Mapping[str, Any] | None = completion.get("usage")
    if not told:
        return None
    given, made = int(told.get("prompt_tokens") or 0), int(told.get("completion_tokens") or 0)
    return UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)
