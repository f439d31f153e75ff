"""Models and tools of smolagents, by way of Pavo. It needs the extra `smolagents`.

Its agents run on a thread, and call tools on others. What they call is awaited by the agent's own coroutine.
"""

import asyncio
import contextvars
import copy
import itertools
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NoReturn

from pydantic_core import PydanticSerializationError, to_jsonable_python
from smolagents import ChatMessage, OpenAIModel, ToolCallingAgent, UserInputTool
from smolagents.agent_types import AgentType
from smolagents.memory import AgentMemory, CallbackRegistry
from smolagents.monitoring import Monitor

from pavo.adapters.agents_thread import AgentsThread
from pavo.adapters.replayed.openai_client import THE_ENDPOINTS, recording_client_for_threads
from pavo.adapters.replayed.recorded_tools import recorded
from pavo.adapters.working import working_for
from pavo.agents.calling.functions import Effect
from pavo.agents.calling.waiting_threads import Accompanied, accompanied, accompany
from pavo.errors import AgentRefused, ToolFailed
from pavo.kit.json_values import fingerprint

_FINAL: Final = "final_answer"


class _Leaves(BaseException):
    """An error that no code of smolagents' is to tell its model of."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Calls:
    """What one run calls.

    Args:
        tools: the thread on which tools run.
    """

    def __init__(self, tools: AgentsThread, effects: Mapping[str, Effect], unrecorded: Sequence[str]) -> None:
        self._tools, self._effects, self._unrecorded = tools, effects, unrecorded
        self._wait: Callable[[Coroutine[Any, Any, Any]], Any] = _nobody_waits
        self._asked: dict[str, int] = {}

    def begin(self) -> None:
        """On the thread of the run: whatever is called is awaited by the coroutine that listens to this thread."""
        found = accompanied()
        assert found is not None
        self._wait = found.wait

    def wait(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """On any thread of the run: the result of the coroutine that this makes.

        Raises:
            AttemptEnded: nobody waits any more.
        """
        return self._wait(_apart(make))

    def tool(self, tool: Any) -> Any:
        """The same tool, whose calls are recorded."""
        if tool.name == _FINAL:
            return tool
        made = copy.copy(tool)
        if isinstance(tool, UserInputTool):
            made.forward = self._ask
        elif tool.name in self._unrecorded:
            made.forward = self._with_calls_of_its_own(made.forward)
        else:
            made.forward = self._recorded(made, made.forward)
        return made

    def _recorded(self, tool: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        name, effect = tool.name, self._effects.get(tool.name, "unsafe")

        def called(*given: Any, **named: Any) -> Any:
            async def run() -> Any:
                context = contextvars.copy_context()
                return to_jsonable_python(await self._tools.run(lambda: context.run(forward, *given, **named)))

            arguments = to_jsonable_python({**dict(zip(tool.inputs, given, strict=False)), **named})
            try:
                return self.wait(lambda: recorded(name, arguments, effect, run))
            except ToolFailed:
                raise
            except Exception as error:  # such as a person's "stop"
                raise _Leaves(error) from error

        return called

    def _with_calls_of_its_own(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, **named: Any) -> Any:
            accompany(Accompanied(threading.current_thread(), self._wait))
            return forward(*given, **named)

        return called

    def _ask(self, question: str) -> Any:
        count = self._asked[question] = self._asked.get(question, 0) + 1
        key = f"user-input-{fingerprint([question, count])[:24]}"
        try:
            return self.wait(lambda: working_for().ask(key, question))
        except Exception as error:
            raise _Leaves(error) from error


class _Model(OpenAIModel):
    """Asks through Pavo; the ids that smolagents makes up for calls in a text are the same in each attempt.

    Args:
        own: the model in whose place it is.
    """

    def __init__(self, calls: Calls, name: str | None, own: Any) -> None:
        client = recording_client_for_threads(calls.wait)
        super().__init__(name or THE_ENDPOINTS, client=client, retry=False)
        self.kwargs = dict(own.kwargs)
        self.tool_name_key, self.tool_arguments_key = own.tool_name_key, own.tool_arguments_key
        self._numbers = itertools.count(1)

    def parse_tool_calls(self, message: ChatMessage) -> ChatMessage:
        found = super().parse_tool_calls(message)
        for each in found.tool_calls or []:
            each.id = f"in-text-{next(self._numbers)}"
        return found


def recording_agent(agent: Any, calls: Calls, model: str | None) -> Any:
    """A copy of it, with nothing in its memory, and of those that it manages, whose calls are recorded."""
    if not isinstance(agent, ToolCallingAgent):
        remedy = "Use a ToolCallingAgent; what a CodeAgent's code does by itself cannot be recorded."
        raise AgentRefused(f"{type(agent).__name__} is no ToolCallingAgent of smolagents.", remedy=remedy)
    made: Any = copy.copy(agent)
    made.model = _Model(calls, model, agent.model)
    made.tools = {name: calls.tool(each) for name, each in made.tools.items()}
    made.managed_agents = {name: recording_agent(each, calls, model) for name, each in made.managed_agents.items()}
    made.max_tool_threads = 1  # calls are made in their order
    made.state = dict(made.state)
    made.monitor = Monitor(made.model, made.logger)
    made.memory = AgentMemory(made.system_prompt)
    made.step_callbacks = _callbacks(agent, made.monitor)
    return made


def _callbacks(agent: Any, monitor: Monitor) -> CallbackRegistry:
    """Those of the agent, with a monitor of the copy's own."""
    made: Any = CallbackRegistry()
    for kind, callbacks in agent.step_callbacks._callbacks.items():
        for each in callbacks:
            is_the_monitors = getattr(each, "__self__", None) is agent.monitor
            made.register(kind, monitor.update_metrics if is_the_monitors else each)
    return made


def answer_of(agent: Any, given: str, arguments: Mapping[str, Any]) -> Any:
    """Run it; its final answer, as JSON.

    Raises:
        AgentRefused: that is no JSON, or whatever ended the run for good.
    """
    try:
        found = agent.run(given, **{**arguments, "stream": False, "return_full_result": False})
    except _Leaves as left:
        raise left.error from None
    if isinstance(found, AgentType):
        found = found.to_raw()
    try:
        return to_jsonable_python(found)
    except PydanticSerializationError as error:
        remedy = "Have it answer with what JSON holds; keep files as artifacts."
        raise AgentRefused(f"Its final answer is no JSON: {error}.", remedy=remedy) from error


async def _apart(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What it sets for itself is of no account for what is awaited after it."""
    return await asyncio.create_task(make())


def _nobody_waits(_: Coroutine[Any, Any, Any]) -> NoReturn:
    raise RuntimeError("The run has not begun.")
