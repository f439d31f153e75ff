"""How a worker and an agent's process talk: frames over a socket pair, and the contract's values in them.

A frame is four bytes, the length of the rest, highest byte first, and a message, which is JSON in UTF-8. Both sides
refuse a longer frame than may come before they read any more of it.

The worker sends `start` (once), `call` {id, method, …}, `cut`, `cancel`, `ping`, `stack`, `found` {id, value | error},
`close`; the child tells `confined` before it imports its agent, answers `ready`, `done` {id, value | error}, `pong`,
`told` once it has written the stack, and asks `search` {id, query, limit}, `messages` {id, after}, `former` {id},
`answer` {id, question}, `tools` {id}, `tool` {id, request}, `complete` {id, request}, `gateway` {id}, `spent` {id},
`artifact` {id, do, …}, `secret` {id, name}, `sign` {id, digest, signature}, `function` {id, do, …},
`delegated` {id, delegation}, `transcript` {id, window} and `transcript_count` {id}; `emit` {step, parts} has no answer.
"""

import asyncio
import json
import logging
import struct
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from pavo.agents.asking.on_wire import dump_answered, dump_question, load_question
from pavo.agents.asking.question import People, Waits
from pavo.agents.calling import on_wire as calling
from pavo.agents.calling.functions_on_wire import look_up_function
from pavo.agents.calling.request import Tools
from pavo.agents.checks import storable
from pavo.agents.context.on_wire import dump_former, dump_messages, dump_transcript, load_window
from pavo.agents.contract import (
    AgentContext,
    Corpus,
    Emitter,
    Event,
    FeedbackItem,
    Hit,
    Plan,
    PlanDraft,
    PlanStep,
    Revision,
    Step,
    TaskUser,
)
from pavo.agents.delegating import on_wire as delegating
from pavo.agents.filing import on_wire as filing
from pavo.agents.filing.artifacts import Artifacts
from pavo.agents.secrets.declared import Secrets
from pavo.agents.signing.on_wire import look_up_signature
from pavo.errors import AgentError, AgentRefused, PavoError, Unavailable
from pavo.transcripts.domain import Transcript, TranscriptSource

logger = logging.getLogger(__name__)

Message: TypeAlias = dict[str, Any]
T = TypeVar("T")

MAX_TO_AGENT = 64 * 1024 * 1024
"""Bytes of a frame from the worker. The largest that can come up: a plan with 500 comments of 20,000 control
characters, of six bytes each."""
MAX_UNREAD = MAX_TO_AGENT + 1024 * 1024
"""What may lie unread before the child: one call and some pings."""
MAX_TO_WORKER = 24 * 1024 * 1024
"""Bytes of a frame from an agent. The largest that the contract allows is a revision: a plan of a million steps, and
answers of control characters."""
MAX_QUESTIONS = 64
"""What an agent may have asked without an answer; further questions wait on its side."""
_MAX_CONTAINERS = 3_000_000
"""Lists and objects of a message, counted by their brackets, also those in texts: each costs the reader 64 bytes
for the two that it was sent in."""
_SEARCH_LIMIT = 100
_HEADER = struct.Struct(">I")
EXIT_UNCONFINED = 115
"""Exit code of a child that could not confine itself; once it has told that it is confined, that is its agent's."""


class Unreadable(ValueError):
    """What came is no message; the text says why."""


def of_type(value: object, kind: type[T]) -> T:
    """The value, of which the other side says that it is one of these.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def encode(message: Message, limit: int) -> bytes:
    """One frame; in UTF-8 and not in escapes, which would make three times as much of some scripts.

    Raises:
        AgentRefused: it would be longer than the other side reads.
    """
    data = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(data) > limit:
        raise AgentRefused(
            f"{len(data):,} bytes are too many to pass between worker and agent; {limit:,} is the most.",
            remedy="Make shorter what the agent asks or is given.",
        )
    return _HEADER.pack(len(data)) + data


class FrameReader:
    """Reads the messages of one connection, and takes no more memory for one than the limit."""

    def __init__(self, reader: asyncio.StreamReader, limit: int) -> None:
        self._reader = reader
        self._limit = limit
        self._grown = False

    @property
    def grown(self) -> bool:
        """Whether more has come, since this was last asked, of a frame that is not whole yet."""
        grown, self._grown = self._grown, False
        return grown

    async def next(self) -> Message | None:
        """The next message, or None when the other side has gone.

        Raises:
            Unreadable: it is no message, or longer than the limit.
        """
        header = await self._read(_HEADER.size)
        if header is None:
            return None
        (size,) = _HEADER.unpack(header)
        if size > self._limit:
            raise Unreadable(f"a message of {size:,} bytes, of which {self._limit:,} are allowed")
        data = await self._read(size)
        self._grown = False
        return None if data is None else _decoded(data)

    async def _read(self, size: int) -> bytearray | None:
        data = bytearray()
        while len(data) < size:
            try:
                piece = await self._reader.read(size - len(data))
            except ConnectionError:
                return None
            if not piece:
                return None
            data += piece
            self._grown = True
        return data


def _decoded(data: bytearray) -> Message:
    if data.count(b"[") + data.count(b"{") > _MAX_CONTAINERS:
        raise Unreadable(f"more than {_MAX_CONTAINERS:,} lists and objects at once")
    try:
        message: object = json.loads(data.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise Unreadable("lists within lists without an end") from error
    except ValueError as error:
        raise Unreadable("no JSON") from error
    if not isinstance(message, dict):
        raise Unreadable("no JSON object")
    return message  # pyright: ignore[reportUnknownVariableType]


def dump_context(ctx: AgentContext) -> Message:
    """The context without what is read and called in it, which stays with the worker."""
    return {
        "task_id": str(ctx.task_id),
        "organisation_id": str(ctx.organisation_id),
        "title": ctx.title,
        "prompt": ctx.prompt,
        "options": dict(ctx.options),
        "context": dump_hits(ctx.context),
        "cancelled": ctx.cancelled.is_set(),
        "steps": ctx.steps,
        "user": [str(ctx.user.id), ctx.user.email, ctx.user.name],
        "attempt": ctx.attempt,
        "step_key": ctx.step_key,
        "edits": ctx.edits,
    }


class Reached(Corpus, People, Tools, Secrets, TranscriptSource, Protocol):
    """What an agent in a process of its own reads and calls by way of its worker."""


def load_context(
    data: Message, reached: Reached, models: calling.WireModels, emitter: Emitter, artifacts: Artifacts
) -> AgentContext:
    """What `dump_context` wrote, with all else as the child reaches it."""
    ctx = AgentContext(
        task_id=uuid.UUID(data["task_id"]),
        organisation_id=uuid.UUID(data["organisation_id"]),
        title=data["title"],
        prompt=data["prompt"],
        options=data["options"],
        corpus=reached,
        context=load_hits(data["context"]),
        steps=data["steps"],
        user=_load_user(data["user"]),
        attempt=data["attempt"],
        step_key=data["step_key"],
        edits=data["edits"],
        people=reached,
        tools=reached,
        models=models,
        gateways=models,
        emitter=emitter,
        transcript=Transcript(reached),
        secrets=reached,
        artifacts=artifacts,
    )
    if data["cancelled"]:
        ctx.cancelled.set()
    return ctx


def _load_user(data: list[str]) -> TaskUser:
    identifier, email, name = data
    return TaskUser(uuid.UUID(identifier), email, name)


def dump_hits(hits: Sequence[Hit]) -> list[Any]:
    return [[hit.title, hit.excerpt, hit.rank] for hit in hits]


def load_hits(data: list[Any]) -> tuple[Hit, ...]:
    return tuple(Hit(title, excerpt, rank) for title, excerpt, rank in data)


async def looked_up(identifier: int, looking: Coroutine[Any, Any, Any]) -> tuple[bytes, Unavailable | None]:
    """The frame with what was looked up for the child, or with what failed and is to be raised there, at the agent's
    call; and the outage, if that was one."""
    answer: Message = {"op": "found", "id": identifier}
    outage: Unavailable | None = None
    try:
        return encode({**answer, "value": await looking}, MAX_TO_AGENT), None
    except PavoError as error:
        outage = error if isinstance(error, Unavailable) else None
        answer["error"] = dump_error(error)
    except Exception as error:
        logger.exception("What an agent asked of its worker failed.")
        answer["error"] = dump_error(AgentError(f"Pavo could not answer the agent: {type(error).__name__}."))
    return encode(answer, MAX_TO_AGENT), outage


async def _hits(ctx: AgentContext, query: str, limit: int) -> Any:
    return dump_hits(await ctx.corpus.search(query, max(1, min(limit, _SEARCH_LIMIT))))


async def _dumped(dump: Callable[[T], Any], asking: Awaitable[T]) -> Any:
    return dump(await asking)


_ANSWERS: Mapping[str, Callable[[AgentContext, Message], Coroutine[Any, Any, Any]]] = {
    "search": lambda ctx, asked: _hits(ctx, of_type(asked["query"], str), of_type(asked["limit"], int)),
    "messages": lambda ctx, asked: _dumped(dump_messages, ctx.inbox.messages(of_type(asked["after"], int))),
    "former": lambda ctx, _: dump_former(ctx.inbox),
    "answer": lambda ctx, asked: _dumped(dump_answered, ctx.people.find(load_question(asked["question"]))),
    "tools": lambda ctx, _: _dumped(calling.dump_tools, ctx.tools.described()),
    "tool": lambda ctx, asked: _dumped(
        calling.dump_tool_answer, ctx.tools.call(calling.load_request(asked["request"]))
    ),
    **dict.fromkeys(calling.MODEL_OPS, calling.look_up_model),
    delegating.OP: lambda ctx, asked: delegating.look_up_delegated(ctx.children, asked["delegation"]),
    filing.OP: lambda ctx, asked: filing.asked(asked, ctx.artifacts.keeper),
    "function": lambda ctx, asked: look_up_function(asked, ctx.ledger),
    "sign": lambda ctx, asked: look_up_signature(asked, ctx.signatures),
    "secret": lambda ctx, asked: ctx.secrets.secret(of_type(asked["name"], str)),
    "transcript": lambda ctx, asked: _dumped(
        dump_transcript, ctx.transcript.source.window(load_window(asked["window"]))
    ),
    "transcript_count": lambda ctx, _: ctx.transcript.source.count(),
}
ASKS = frozenset(_ANSWERS)
"""What a child may ask for."""


def look_up(message: Message, ctx: AgentContext) -> Coroutine[Any, Any, Any]:
    """What the child asks for, as the wire has it.

    Raises:
        TypeError, ValueError, LookupError: it is no question; before anything is done.
    """
    return _ANSWERS[message["op"]](ctx, message)


def dump_draft(draft: PlanDraft) -> Message:
    return {"summary": draft.summary, "steps": _dump_plan_steps(draft.steps)}


def load_draft(data: Message) -> PlanDraft:
    return PlanDraft(_text(data["summary"]), _load_plan_steps(data["steps"]))


def dump_plan(plan: Plan) -> Message:
    return {
        "version": plan.version,
        "hash": plan.hash,
        "summary": plan.summary,
        "steps": _dump_plan_steps(plan.steps),
    }


def load_plan(data: Message) -> Plan:
    return Plan(data["version"], data["hash"], data["summary"], _load_plan_steps(data["steps"]))


def _dump_plan_steps(steps: Sequence[PlanStep]) -> list[Any]:
    return [[step.title, step.detail] for step in steps]


def _load_plan_steps(data: list[Any]) -> tuple[PlanStep, ...]:
    return tuple(PlanStep(_text(title), _text(detail)) for title, detail in data)


def dump_feedback(feedback: Sequence[FeedbackItem]) -> list[Any]:
    return [[item.id, item.body, item.step] for item in feedback]


def load_feedback(data: list[Any]) -> tuple[FeedbackItem, ...]:
    return tuple(FeedbackItem(identifier, body, step) for identifier, body, step in data)


def dump_revision(revision: Revision) -> Message:
    return {"plan": dump_draft(revision.plan), "answers": dict(revision.answers)}


def load_revision(data: Message) -> Revision:
    return Revision(load_draft(data["plan"]), {key: _text(answer) for key, answer in dict(data["answers"]).items()})


def dump_step(step: Step | Waits | None) -> list[Any] | Message | None:
    if step is None:
        return None
    if isinstance(step, Waits):
        delegated = [delegating.dump_delegation(each) for each in step.delegations]
        return {"waits": [dump_question(question) for question in step.questions], "delegated": delegated}
    events = [[event.type, event.data] for event in step.events]
    return [step.checkpoint, events, [dict(each) for each in step.messages], step.progress, step.total, step.plan_step]


def load_step(data: list[Any] | Message | None) -> Step | Waits | None:
    if data is None:
        return None
    if isinstance(data, dict):
        asked, delegated = data["waits"][:MAX_QUESTIONS], data["delegated"][:MAX_QUESTIONS]
        return Waits(tuple(map(load_question, asked)), tuple(map(delegating.load_delegation, delegated)))
    checkpoint, events, messages, *numbers = data
    progress, total, plan_step = map(_number_or_none, numbers)
    given = tuple(Event(_text(kind), dict(members)) for kind, members in events)
    return Step(checkpoint, given, progress, total, plan_step, tuple(map(_members, messages)))


def _members(data: object) -> Message:
    if not isinstance(data, dict):
        raise TypeError("no JSON object where a message belongs")
    return data  # pyright: ignore[reportUnknownVariableType]


def load_report(data: object) -> str:
    return _text(data)


def load_nothing(data: object) -> None:
    """What a call answers that has no result."""
    if data is not None:
        raise TypeError("an answer where none belongs")


def dump_error(error: PavoError) -> Message:
    """An error that either side may raise to the other."""
    message: Message = {"kind": error.code, "detail": error.detail, "field": error.field, "remedy": error.remedy}
    if isinstance(error, Unavailable):
        message |= {"dependency": error.dependency, "retry_after": error.retry_after}
    return message


def load_error(data: Message) -> PavoError:
    """The error, its texts bounded and storable; types that do not cross are told apart by their text alone."""
    detail = storable(_text(data["detail"]))
    if data["kind"] == "Unavailable":
        return Unavailable(detail, dependency=_text(data["dependency"]), retry_after=int(data["retry_after"]))
    kind = AgentRefused if data["kind"] == "AgentRefused" else AgentError
    return kind(detail, field=_storable_or_none(data["field"]), remedy=_storable_or_none(data["remedy"]))


def _text(value: object) -> str:
    return of_type(value, str)


def _number_or_none(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise TypeError(f"{type(value).__name__} where a whole number belongs")
    return value


def _storable_or_none(value: object) -> str | None:
    return None if value is None else storable(_text(value))
