"""The tools that a task's agent calls: each through the ledger, under the lease of its attempt."""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pavo.agents.calling.request import ToolAnswer, ToolRequest
from pavo.errors import NotFound, Unavailable
from pavo.gates.domain import Subject
from pavo.kit.json_values import encode_text
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.tasks import events
from pavo.tasks.sql import lease
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent
from pavo.timeline.publish import Publisher
from pavo.tools import ledger
from pavo.tools.contract import UNSAFE, Effect, NoServices, ToolContext, ToolServices
from pavo.tools.described import Tool, WrongArguments, told
from pavo.tools.ledger import Claim, Next, Terms
from pavo.tools.policies.domain import Call
from pavo.tools.policies.service import judge
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.registry import ToolRegistry
from pavo.tools.running import Outcome, run_tool

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 0.5
"""A tool begins so long after the lease was seen to hold, at most: a worker that was paused in between looks again. It
is less than anybody needs to take the task over and to say that the call did not happen."""
MAX_TOLD: Final = 500
"""Characters of arguments and results in the timeline."""


@dataclass(slots=True)
class HeldEpoch:
    """The epoch of the attempt that an agent works for: one that is parked goes on under another."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ToolCaller:
    """Who calls tools."""

    subject: Subject
    agent: str
    held: HeldEpoch


@dataclass(frozen=True, slots=True)
class _Checked:
    tool: Tool
    arguments: Mapping[str, Any]
    call: Call
    """As policies judge it."""


class TaskTools:
    """See `agents.calling.request.Tools`; belongs to the agents' loop."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        tools: ToolRegistry,
        caller: ToolCaller,
        word: OperatorsWord,
        services: ToolServices | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._tools = tools
        self._subject = caller.subject
        self._agent = caller.agent
        self._held = caller.held
        self._word = word
        self._services = services or NoServices()
        self._claiming = asyncio.Lock()
        self._calls: dict[str, asyncio.Task[ToolAnswer]] = {}
        """Under way, by identity."""
        self._running: dict[uuid.UUID, asyncio.Future[None]] = {}

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """What came of it; goes on to its outcome also where nobody waits for that any more."""
        call = self._calls.get(request.identity)
        if call is None:
            call = asyncio.create_task(self._call(request), name=f"tool {request.tool} of {self._subject.id}")
            self._calls[request.identity] = call
            call.add_done_callback(lambda ended: self._ended(request.identity, ended))
        return await asyncio.shield(call)

    def _ended(self, identity: str, call: asyncio.Task[ToolAnswer]) -> None:
        del self._calls[identity]
        if not call.cancelled():
            call.exception()  # read: whoever made the call may have gone

    async def _call(self, request: ToolRequest) -> ToolAnswer:
        epoch = self._held.epoch
        checked = await self._checked(request)
        if isinstance(checked, ToolAnswer):
            return await self._recorded(request) or checked
        while True:
            looked = time.monotonic()
            claim, effect = await self._claim(request, checked, epoch)
            if claim.next is not Next.RUN and claim.next is not Next.UNDER_WAY:
                return _answer(request, claim)
            if claim.next is Next.UNDER_WAY:
                await self._join(claim, epoch)
                continue
            try:
                counting_as = replace(checked, tool=replace(checked.tool, effect=effect))
                outcome = await self._run(claim, counting_as, looked, epoch)
            finally:
                self._running.pop(claim.id).set_result(None)
            if not outcome.unknown:
                return ToolAnswer(outcome.value, outcome.error, outcome.remedy)

    async def _checked(self, request: ToolRequest) -> _Checked | ToolAnswer:
        try:
            ready = self._tools.is_ready(request.tool)  # importing it may take long
            tool = self._tools.get(request.tool) if ready else await asyncio.to_thread(self._tools.get, request.tool)
        except NotFound as error:
            return ToolAnswer(error=error.detail, remedy=error.remedy)
        try:
            arguments = tool.checked(request.arguments)
            call = Call(tool.name, tool.effect, told(tool, request.arguments), self._agent)
            return _Checked(tool, arguments, call)
        except WrongArguments as error:
            wrong = f"The tool {tool.name} does not take these arguments: {error}."
            return ToolAnswer(error=wrong, remedy="Look at the tool's schema.")

    async def _recorded(self, request: ToolRequest) -> ToolAnswer | None:
        """What came of it once, when the tool was there and took such arguments."""
        async with self._database.reading() as session:
            claim = await ledger.recorded(session, self._subject, request)
        return None if claim is None else _answer(request, claim)

    async def _claim(self, request: ToolRequest, checked: _Checked, epoch: int) -> tuple[Claim, Effect]:
        recorded: Sequence[Event] = ()
        # One after the other, so that who finds a call under way finds who runs it too.
        async with self._claiming:
            async with self._database.transaction() as session:
                if not await lease.holds(session, self._subject.id, epoch, working=True):
                    raise _over()
                terms = Terms(*await judge(session, self._subject, checked.call, self._word))
                claim = await ledger.claim(session, self._subject, request, terms, epoch)
                if event := _event_of(request, terms, claim):
                    recorded = await timeline.append(session, self._subject.id, [event])
            if claim.next is Next.RUN:
                self._running[claim.id] = asyncio.get_running_loop().create_future()
        if claim.is_new:
            metrics.TOOL_CALLS.add("denied")
        self._publisher.publish(recorded)
        return claim, terms.effect

    async def _join(self, claim: Claim, epoch: int) -> None:
        """Wait until who runs it is done; where nobody does, its outcome could not be recorded."""
        running = self._running.get(claim.id)
        if running is not None:
            await asyncio.shield(running)
            return
        await self._settle(claim.id, Outcome(error="Its outcome was not recorded.", unknown=True), epoch)

    async def _run(self, claim: Claim, checked: _Checked, looked: float, epoch: int) -> Outcome:
        tool = checked.tool
        while time.monotonic() - looked > FRESH_SECONDS:
            looked = time.monotonic()
            async with self._database.transaction() as session:
                if not await lease.holds(session, self._subject.id, epoch, working=True):
                    raise _over()
        context = ToolContext(str(claim.id), self._subject.id, self._subject.organisation_id, self._services)
        outcome = await run_tool(tool, checked.arguments, context)
        if tool.effect != UNSAFE and outcome.unknown:
            outcome = Outcome(error=outcome.error, remedy=outcome.remedy)
        shown = outcome.error if outcome.error is not None else encode_text(outcome.value)[:MAX_TOLD]
        event = events.tool_done(claim.id, tool.name, outcome.state, shown[:MAX_TOLD])
        await self._settle(claim.id, outcome, epoch, event)
        metrics.TOOL_CALLS.add(outcome.state)
        return outcome

    async def _settle(self, call_id: uuid.UUID, outcome: Outcome, epoch: int, event: NewEvent | None = None) -> None:
        async with self._database.transaction() as session:
            held = await lease.holds(session, self._subject.id, epoch)
            if not held or not await ledger.settle(session, call_id, outcome, epoch):
                raise _over()
            recorded = await timeline.append(session, self._subject.id, [event]) if event is not None else ()
        self._publisher.publish(recorded)


def _event_of(request: ToolRequest, terms: Terms, claim: Claim) -> NewEvent | None:
    """What the timeline says of a claim."""
    if claim.next is Next.RUN:
        arguments = encode_text(dict(request.arguments))[:MAX_TOLD]
        return events.tool_called(claim.id, request.tool, terms.effect, arguments)
    if claim.is_new:
        return events.tool_done(claim.id, request.tool, "denied", (claim.outcome.error or "")[:MAX_TOLD])
    return None


def _answer(request: ToolRequest, claim: Claim) -> ToolAnswer:
    match claim.next:
        case Next.RECORDED:
            return ToolAnswer(claim.outcome.value, claim.outcome.error, claim.outcome.remedy)
        case Next.DENIED:
            return ToolAnswer(error=claim.outcome.error, remedy=claim.outcome.remedy, denied=True)
        case Next.ASK:
            return ToolAnswer(asks=claim.question)
        case Next.STOPPED:
            told = f"{claim.by} said to stop, instead of calling {request.tool} again."
            return ToolAnswer(error=told, remedy="Resume the task to be asked again.", refused=True)
        case Next.CHANGED:
            told = f"call(): key: {request.key!r} names a call of another tool, or with other arguments."
            return ToolAnswer(error=told, remedy="Give each call a key of its own.", refused=True)
        case _:
            raise _over()


def _over() -> Unavailable:
    return Unavailable("The attempt is over: a newer one may have begun.", dependency="lease")
