"""Calls of durable functions between a worker, which writes them down, and an agent's process, which runs them."""

from collections.abc import Coroutine
from typing import Any, Final, get_args

from pavo.agents.calling.functions import MAX_RESULT_BYTES, PREFIX, Begun, Effect, Ledger, Outcome
from pavo.agents.calling.on_wire import MAX_IDENTITY, dump_tool_answer, load_request, load_tool_answer
from pavo.agents.calling.request import ToolAnswer
from pavo.agents.checks import storable
from pavo.kit.json_values import plain

_ID: Final = MAX_IDENTITY
"""Characters of a call's id at most."""


def look_up_function(message: dict[str, Any], ledger: Ledger) -> Coroutine[Any, Any, Any]:
    """What the child asks for.

    Raises:
        TypeError, LookupError, ValueError: it is no question; before anything is done.
    """
    if message["do"] == "begin":
        request, effect = load_request(message["request"]), message["effect"]
        if not request.tool.startswith(PREFIX) or effect not in get_args(Effect):
            raise ValueError("no call of a function")  # such as one that passes for a tool's
        return _begun(ledger, request, effect)
    call = message["call"]
    if not isinstance(call, str) or len(call) > _ID:
        raise TypeError("no id of a call")
    if message["do"] == "look":
        return ledger.look(call)
    return _settled(ledger, call, _load_outcome(message["outcome"]))


async def _begun(ledger: Ledger, request: Any, effect: Effect) -> Any:
    begun = await ledger.begin(request, effect)
    return ["begun", begun.id, begun.looked] if isinstance(begun, Begun) else ["answer", dump_tool_answer(begun)]


async def _settled(ledger: Ledger, call: str, outcome: Outcome) -> Any:
    answer = await ledger.settle(call, outcome)
    return None if answer is None else dump_tool_answer(answer)


def load_begun(data: list[Any]) -> Begun | ToolAnswer:
    """What `begin` answers."""
    return Begun(data[1], data[2]) if data[0] == "begun" else load_tool_answer(data[1])


def load_settled(data: list[Any] | None) -> ToolAnswer | None:
    """What `settle` answers."""
    return None if data is None else load_tool_answer(data)


def dump_outcome(outcome: Outcome) -> list[Any]:
    return [outcome.value, outcome.error, outcome.remedy, outcome.unknown]


def _load_outcome(data: list[Any]) -> Outcome:
    """The outcome, checked again: whatever runs in an agent's process may have made it."""
    given, error, remedy, unknown = data
    value, size = plain(given)
    if size > MAX_RESULT_BYTES or not isinstance(unknown, bool):
        raise ValueError("no outcome of a call")
    return Outcome(value, _text_or_none(error), _text_or_none(remedy), unknown)


def _text_or_none(text: object) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError("no text")
    return storable(text)
