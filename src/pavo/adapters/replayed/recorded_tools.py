"""Tools of a framework's own, whose calls go through the ledger and run where the agent runs."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from pavo.adapters.working import working_for, works_for
from pavo.agents.asking.question import NobodyToAsk
from pavo.agents.calling.functions import MAX_RESULT_BYTES, PREFIX, Effect, Outcome, current_caller, runs_execute
from pavo.agents.calling.request import NoTools, checked_request
from pavo.agents.checks import storable
from pavo.agents.raised import described
from pavo.errors import AgentRefused
from pavo.kit.json_values import NotStorable, plain

_NOT_OF_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_NAME: Final = 80


async def recorded(name: str, arguments: Mapping[str, Any], effect: Effect, run: Callable[[], Awaitable[Any]]) -> Any:
    """Run a tool, unless its outcome is recorded; its result, as JSON.

    Raises:
        ToolFailed: it failed, which is recorded too.
        AgentRefused: it cannot be recorded, or a person said to stop.
    """
    caller = current_caller()
    if caller is None:
        raise AgentRefused(f"{name} is called outside of execute().", remedy="Run the orchestrator in an agent.")
    own = f"{PREFIX}{_NOT_OF_NAMES.sub('_', name)[:_MAX_NAME]}"

    async def carried_out(_: str) -> Outcome:
        _is_a_call()
        try:
            value, size = plain(await run())
        except asyncio.CancelledError:
            return Outcome(error=f"{name} was cut.", unknown=True)
        except NotStorable as error:
            return Outcome(error=storable(f"{name} answered what is no JSON: {error}"), remedy=error.remedy)
        except BaseException as error:  # noqa: BLE001 - of foreign code: it is the call's outcome
            return Outcome(error=described(error))
        if size > MAX_RESULT_BYTES:
            return Outcome(error=f"{name} answered {size:,} bytes.", remedy=f"Keep it under {MAX_RESULT_BYTES:,}.")
        return Outcome(value)

    return await caller.function(checked_request(own, arguments, None), effect, carried_out)


def _is_a_call() -> None:
    """What the tool itself calls would be settled, or wait, within a call that is not settled."""
    runs_execute(None)
    works_for(replace(working_for(), people=NobodyToAsk(), tools=NoTools()))
