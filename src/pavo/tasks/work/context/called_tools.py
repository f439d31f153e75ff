"""The tools that a task's agent calls: each through the ledger, under the lease of its attempt."""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from pavo.agents.calling.functions import FRESH_SECONDS, Begun
from pavo.agents.calling.request import NoTools, ToolAnswer, ToolRequest
from pavo.artifacts.recording import ArtifactOwner, Recorded
from pavo.errors import AgentRefused, ArtifactError, NotFound, Unavailable
from pavo.gates.domain import Subject
from pavo.kit.json_values import encode_text
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread
from pavo.observe import metrics
from pavo.tasks import events
from pavo.tasks.sql import lease
from pavo.tasks.work.context.held_epoch import HeldEpoch, attempt_is_over
from pavo.tasks.work.context.joined_calls import JoinedCalls
from pavo.tasks.work.context.kept_artifacts import added, count
from pavo.tasks.work.context.tool_files import NOT_KEPT, Made, ToolFiles
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent
from pavo.timeline.publish import Publisher
from pavo.tools import ledger
from pavo.tools.arguments import WrongArguments
from pavo.tools.at_once import AtOnce
from pavo.tools.contract import UNSAFE, Effect, NoServices, ToolContext, ToolServices
from pavo.tools.described import Tool
from pavo.tools.ledger import Claim, Next, Terms
from pavo.tools.places import NO_PLACE, PLACES, Place
from pavo.tools.policies.domain import Call
from pavo.tools.policies.service import judge
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.registry import ToolRegistry
from pavo.tools.running import Outcome, run_tool, understood

logger = logging.getLogger(__name__)

MAX_FUNCTIONS: Final = 1_000
"""Of one agent's, under way at once."""
MAX_TOLD: Final = 500
"""Characters of arguments and results in the timeline."""


@dataclass(frozen=True, slots=True)
class ToolCaller:
    """Who calls tools."""

    subject: Subject
    agent: str
    held: HeldEpoch


@dataclass(frozen=True, slots=True)
class _OfFunction:
    """A call of a function that runs where its agent does."""

    name: str
    effect: Effect
    epoch: int


@dataclass(frozen=True, slots=True)
class _Checked:
    tool: Tool
    arguments: Mapping[str, Any]
    call: Call
    """As policies judge it."""


class DescribedTools:
    """The tools of a worker, where none can be called."""

    def __init__(self, tools: ToolRegistry) -> None:
        self._tools = tools

    async def described(self) -> Sequence[Mapping[str, Any]]:
        """See `agents.calling.request.Tools`."""
        found = await asyncio.to_thread(self._tools.all)  # it imports them
        return [each.card for each in found if isinstance(each, Tool)]

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """Raises: none can be called."""
        return await NoTools().call(request)


class TaskTools:
    """See `agents.calling.request.Tools`, and `agents.calling.functions.Ledger`; belongs to the agents' loop."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        tools: ToolRegistry,
        caller: ToolCaller,
        word: OperatorsWord,
        services: ToolServices | None = None,
        files: ToolFiles | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._tools = tools
        self._subject = caller.subject
        self._agent = caller.agent
        self._held = caller.held
        self._word = word
        self._at_once = AtOnce(database.kept, self._subject, word, lease.WORKS, lease.HOLDS)
        self._services = services or NoServices()
        owner = ArtifactOwner(self._subject.id, self._subject.organisation_id)
        self._files = files or ToolFiles(database, None, None, owner)
        self._claiming = asyncio.Lock()
        self._calls = JoinedCalls[ToolAnswer]()
        self._running: dict[uuid.UUID, asyncio.Future[None]] = {}
        self._ended = 0
        """Calls of tools that ended, and gave back their places."""
        self._functions: dict[str, _OfFunction] = {}
        """Those that have begun, by the calls' ids."""

    async def described(self) -> Sequence[Mapping[str, Any]]:
        """The tools that this worker has."""
        return await DescribedTools(self._tools).described()

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """What came of it; goes on to its outcome also where nobody waits for that any more."""
        name = f"tool {request.tool} of {self._subject.id}"
        return await self._calls.run(request.identity, name, lambda: self._call(request))

    async def begin(self, request: ToolRequest, effect: Effect) -> Begun | ToolAnswer:
        """See `agents.calling.functions.Ledger`."""
        if len(self._functions) >= MAX_FUNCTIONS:
            return ToolAnswer(error=f"{MAX_FUNCTIONS} functions are under way.", remedy="Call fewer at once.")
        epoch, call = self._held.epoch, Call(request.tool, effect, request.arguments, self._agent)
        while True:
            looked = time.monotonic()
            claim, counts_as = await self._claim(request, call, epoch)
            if claim.next is Next.RUN:
                self._functions[str(claim.id)] = _OfFunction(request.tool, counts_as, epoch)
                return Begun(str(claim.id), looked)
            if claim.next is not Next.UNDER_WAY:
                return _answer(request, claim)
            await self._join(claim, epoch)

    async def look(self, call_id: str) -> float:
        """Likewise."""
        looked = time.monotonic()
        await self._see_lease(self._function(call_id).epoch)
        return looked

    async def settle(self, call_id: str, outcome: Outcome) -> ToolAnswer | None:
        """Likewise."""
        call, own = self._function(call_id), uuid.UUID(call_id)
        del self._functions[call_id]
        try:
            outcome = await self._record(own, call.name, call.effect, outcome, call.epoch)
        finally:
            self._running.pop(own).set_result(None)
        return None if outcome.unknown else ToolAnswer(outcome.value, outcome.error, outcome.remedy)

    def _function(self, call_id: str) -> _OfFunction:
        found = self._functions.get(call_id)
        if found is None:
            raise AgentRefused("No call of this id has begun.", remedy="Call the function again.")
        return found

    async def _call(self, request: ToolRequest) -> ToolAnswer:
        while True:
            ended = self._ended
            try:
                return await self._called(request)
            except Unavailable as full:
                if full.dependency != NO_PLACE:
                    raise
                if (known := await self._recorded(request)) is not None:
                    return known
                # What runs beside it would end with the attempt, and its outcome be unknown; it has a place to give.
                beside = self._beside()
                if not beside and self._ended == ended:
                    raise
            if beside:
                await asyncio.wait(beside, return_when=asyncio.FIRST_COMPLETED)

    def _beside(self) -> Sequence[asyncio.Future[None]]:
        """Calls of tools that run; not functions of the agent's own, which may wait for this very call."""
        return [running for call_id, running in self._running.items() if str(call_id) not in self._functions]

    async def _called(self, request: ToolRequest) -> ToolAnswer:
        epoch = self._held.epoch
        checked = await self._checked(request)
        if isinstance(checked, ToolAnswer):
            return await self._recorded(request) or checked
        while True:
            # Before anything is written: what finds no place has not begun, and is tried again, here or elsewhere.
            place = PLACES.find(checked.tool.name, self._subject.organisation_id)
            try:
                answer = await self._made(request, checked, epoch, place)
            finally:
                if isinstance(place, Place):
                    place.give_back()
            if answer is not None:
                return answer

    async def _made(
        self, request: ToolRequest, checked: _Checked, epoch: int, place: Place | Unavailable
    ) -> ToolAnswer | None:
        """What came of it; None: that is told only when it is claimed once more."""
        looked = time.monotonic()
        full = None if isinstance(place, Place) else place
        claim, effect = await self._claim(request, checked.call, epoch, full)
        if claim.next is Next.UNDER_WAY:
            await self._join(claim, epoch)
            return None
        if claim.next is not Next.RUN or not isinstance(place, Place):
            return _answer(request, claim)
        try:
            counting_as = replace(checked, tool=replace(checked.tool, effect=effect))
            outcome = await self._run(claim, counting_as, looked, epoch, place)
        finally:
            self._running.pop(claim.id).set_result(None)
            self._ended += 1
        return None if outcome.unknown else ToolAnswer(outcome.value, outcome.error, outcome.remedy)

    async def _checked(self, request: ToolRequest) -> _Checked | ToolAnswer:
        try:
            if not self._tools.is_ready(request.tool):  # importing it may take long
                await call_in_thread(f"import of tool {request.tool}", self._tools.get, request.tool)
            tool = self._tools.get(request.tool)
        except NotFound as error:
            return ToolAnswer(error=error.detail, remedy=error.remedy)
        try:
            taken = await understood(tool, request.arguments, self._subject.organisation_id)
            return _Checked(tool, taken.arguments, Call(tool.name, tool.effect, taken.told, self._agent))
        except WrongArguments as error:
            wrong = f"The tool {tool.name} does not take these arguments: {error}."
            return ToolAnswer(error=wrong, remedy="Look at the tool's schema.")

    async def _recorded(self, request: ToolRequest) -> ToolAnswer | None:
        """What came of it once, when the tool was there and took such arguments."""
        async with self._database.reading() as session:
            claim = await ledger.recorded(session, self._subject, request)
        return None if claim is None else _answer(request, claim)

    async def _claim(
        self, request: ToolRequest, call: Call, epoch: int, full: Unavailable | None = None
    ) -> tuple[Claim, Effect]:
        """Take it on, or tell what is known of it.

        Args:
            full: raised, with nothing written, where it would run: there is no place for it.
        """
        # One after the other, so that who finds a call under way finds who runs it too.
        async with self._claiming:
            at_once = self._at_once.begin
            begun = None if full else await at_once(request, call, epoch, partial(_called, request))
            if begun is not None:
                claim, effect, recorded = Claim(Next.RUN, begun.id), begun.effect, begun.events
            else:
                claim, effect, recorded = await self._claimed(request, call, epoch, full)
            if claim.next is Next.RUN:
                self._running[claim.id] = asyncio.get_running_loop().create_future()
        if claim.is_new:
            metrics.TOOL_CALLS.add("denied")
        self._publisher.publish(recorded)
        return claim, effect

    async def _claimed(
        self, request: ToolRequest, call: Call, epoch: int, full: Unavailable | None
    ) -> tuple[Claim, Effect, Sequence[Event]]:
        """The long way, for whatever may be known of the call or said about it."""
        async with self._database.transaction() as session:
            if not await lease.holds(session, self._subject.id, epoch, working=True):
                raise attempt_is_over()
            terms = Terms(*await judge(session, self._subject, call, self._word))
            claim = await ledger.claim(session, self._subject, request, terms, epoch)
            if full is not None and claim.next is Next.RUN:
                raise full  # and nothing of the claim is kept
            event = _event_of(request, terms, claim)
            recorded = await timeline.append(session, self._subject.id, [event] if event else [])
        return claim, terms.effect, recorded

    async def _join(self, claim: Claim, epoch: int) -> None:
        """Wait until who runs it is done; where nobody does, its outcome could not be recorded."""
        running = self._running.get(claim.id)
        if running is not None:
            await asyncio.shield(running)
            return
        await self._settle(claim.id, Outcome(error="Its outcome was not recorded.", unknown=True), epoch)

    async def _run(self, claim: Claim, checked: _Checked, looked: float, epoch: int, place: Place) -> Outcome:
        tool = checked.tool
        while time.monotonic() - looked > FRESH_SECONDS:
            looked = time.monotonic()
            await self._see_lease(epoch)
        async with self._files.of_call(tool) as made:
            ids = (str(claim.id), self._subject.id, self._subject.organisation_id)
            context = ToolContext(*ids, services=self._services, workspace=made.workspace)
            outcome = await run_tool(tool, checked.arguments, context, self._files.most, place)
            await self._files.gather(made, outcome, claim.id)
            return await self._record(claim.id, tool.name, tool.effect, outcome, epoch, made)

    async def _see_lease(self, epoch: int) -> None:
        async with self._database.transaction() as session:
            if not await lease.holds(session, self._subject.id, epoch, working=True):
                raise attempt_is_over()

    async def _record(
        self, call_id: uuid.UUID, name: str, effect: Effect, outcome: Outcome, epoch: int, made: Made | None = None
    ) -> Outcome:
        """Settle a call with what it made; where that is too much, it has failed."""
        if effect != UNSAFE and outcome.unknown:
            outcome = Outcome(error=outcome.error, remedy=outcome.remedy)
        try:
            outcome = await self._settle(call_id, outcome, epoch, name, made)
        except ArtifactError as error:
            refused = Outcome(error=NOT_KEPT.format(name, error.detail), remedy=error.remedy)
            outcome = await self._settle(call_id, refused, epoch, name)
        metrics.TOOL_CALLS.add(outcome.state)
        return outcome

    async def _settle(
        self, call_id: uuid.UUID, outcome: Outcome, epoch: int, tool: str | None = None, made: Made | None = None
    ) -> Outcome:
        """Record the outcome, and what the call made; the outcome as it is handed over.

        Args:
            tool: whose call it is, where viewers are told.

        Raises:
            ArtifactError: what it made is too much; nothing is recorded.
        """
        outcome = outcome.storable
        if tool is not None and (made is None or not made.new):
            told = await self._at_once.settle(call_id, outcome, epoch, [_done(call_id, tool, outcome)])
            if told is None:
                raise attempt_is_over()
            self._publisher.publish(told)
            return outcome
        kept: Sequence[Recorded] = ()
        async with self._database.transaction() as session:
            if not await lease.holds(session, self._subject.id, epoch):
                raise attempt_is_over()
            if made is not None:
                outcome, kept = await self._files.record(session, made, outcome)
            if not await ledger.settle(session, call_id, outcome, epoch):
                raise attempt_is_over()
            new = [*added(kept), *([_done(call_id, tool, outcome)] if tool is not None else [])]
            recorded = await timeline.append(session, self._subject.id, new)
        self._publisher.publish(recorded)
        count(kept)
        return outcome


def _done(call_id: uuid.UUID, tool: str, outcome: Outcome) -> NewEvent:
    shown = outcome.error if outcome.error is not None else encode_text(outcome.value)
    return events.tool_done(call_id, tool, outcome.state, shown[:MAX_TOLD])


def _called(request: ToolRequest, call_id: uuid.UUID, effect: Effect) -> NewEvent:
    return events.tool_called(call_id, request.tool, effect, encode_text(dict(request.arguments))[:MAX_TOLD])


def _event_of(request: ToolRequest, terms: Terms, claim: Claim) -> NewEvent | None:
    """What the timeline says of a claim."""
    if claim.next is Next.RUN:
        return _called(request, claim.id, terms.effect)
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
            raise attempt_is_over()
