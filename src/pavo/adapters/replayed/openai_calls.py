"""Models and tools of the OpenAI Agents SDK, by way of Pavo. It needs the extra `openai-agents`."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agents.tool_context import ToolContext
from pydantic_core import to_jsonable_python

from agents import Agent, FunctionTool, OpenAIChatCompletionsModel
from pavo.adapters.replayed.openai_client import THE_ENDPOINTS, recording_client
from pavo.adapters.replayed.recorded_tools import recorded
from pavo.agents.calling.functions import Effect
from pavo.errors import AgentRefused, ToolFailed


def chat_model(name: str | None) -> OpenAIChatCompletionsModel:
    """A model that asks through Pavo."""
    return OpenAIChatCompletionsModel(name or THE_ENDPOINTS, recording_client())


def recording_agent(agent: Any, effects: Mapping[str, Effect], unrecorded: Sequence[str]) -> Any:
    """The same agent, and those that it hands off to, whose calls of tools are recorded."""
    return _Recording(effects, unrecorded).agent(agent)


class _Recording:
    def __init__(self, effects: Mapping[str, Effect], unrecorded: Sequence[str]) -> None:
        self._effects, self._unrecorded = effects, unrecorded
        self._made: dict[int, Any] = {}

    def agent(self, agent: Any) -> Any:
        """A copy of it; one that is handed off to by several is one."""
        if not isinstance(agent, Agent):
            raise AgentRefused(
                f"{type(cast(object, agent)).__name__} is no agent of the SDK.",
                remedy="Give the agent itself, also among the handoffs, in the place of handoff(…).",
            )
        given: Any = cast(Any, agent)
        if id(given) not in self._made:
            made = self._made[id(given)] = given.clone(tools=[self._tool(each) for each in given.tools])
            made.handoffs = [self.agent(each) for each in given.handoffs]
        return self._made[id(given)]

    def _tool(self, tool: Any) -> Any:
        if not isinstance(tool, FunctionTool) or tool.name in self._unrecorded:
            return tool
        name, invoke, effect = tool.name, tool.on_invoke_tool, self._effects.get(tool.name, "unsafe")

        async def invoked(context: ToolContext[Any], given: str) -> Any:
            async def run() -> Any:
                return to_jsonable_python(await invoke(context, given))

            try:
                return await recorded(name, _arguments(given), effect, run)
            except ToolFailed as error:
                return f"The tool failed: {error}"

        made = copy.copy(tool)
        made.on_invoke_tool = invoked
        return made


def _arguments(given: str) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(given or "{}")
    except ValueError:
        return {"input": given}
    return cast(Mapping[str, Any], found) if isinstance(found, dict) else {"input": given}
