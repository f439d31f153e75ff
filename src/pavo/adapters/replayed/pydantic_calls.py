"""Models and tools of pydantic-ai, by way of Pavo. It needs the extra `pydantic-ai`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai import ModelRetry, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset
from pydantic_core import to_jsonable_python

from pavo.adapters.replayed.openai_client import THE_ENDPOINTS, recording_client
from pavo.adapters.replayed.recorded_tools import recorded
from pavo.agents.calling.functions import Effect
from pavo.errors import ToolFailed


def model_of(name: str | None) -> OpenAIChatModel:
    """A model that asks through Pavo."""
    return OpenAIChatModel(name or THE_ENDPOINTS, provider=OpenAIProvider(openai_client=recording_client()))


def recording_toolset(
    toolset: AbstractToolset[Any], effects: Mapping[str, Effect], unrecorded: Sequence[str]
) -> AbstractToolset[Any]:
    """The same tools, whose calls are recorded."""
    return toolset.visit_and_replace(lambda leaf: _Recorded(leaf, effects, unrecorded))


@dataclass
class _Recorded(WrapperToolset[Any]):
    effects: Mapping[str, Effect] = field(default_factory=dict[str, Effect])
    unrecorded: Sequence[str] = ()

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        if name in self.unrecorded:
            return await self.wrapped.call_tool(name, tool_args, ctx, tool)

        async def run() -> Any:
            return to_jsonable_python(await self.wrapped.call_tool(name, tool_args, ctx, tool))

        try:
            return await recorded(name, to_jsonable_python(tool_args), self.effects.get(name, "unsafe"), run)
        except ToolFailed as error:
            raise ModelRetry(str(error)) from error
