"""Reading what a context has, between a worker and an agent's process."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from pavo.agents.context.inbox import Former, Inbox, UserMessage
from pavo.agents.context.plans import Plan, PlanStep
from pavo.errors import AgentRefused
from pavo.transcripts.domain import TranscriptMessage, Window, checked_window


def dump_messages(messages: Sequence[UserMessage]) -> list[Any]:
    return [[message.seq, message.body, message.author, message.at.isoformat()] for message in messages]


def load_messages(data: list[Any]) -> tuple[UserMessage, ...]:
    return tuple(UserMessage(seq, body, author, datetime.fromisoformat(at)) for seq, body, author, at in data)


async def dump_former(inbox: Inbox) -> list[Any] | None:
    found = await inbox.former()
    if found is None:
        return None
    plan, steps = found.plan, [[step.title, step.detail] for step in found.plan.steps]
    return [[plan.version, plan.hash, plan.summary, steps], found.report, dump_messages(found.messages)]


def load_former(data: list[Any] | None) -> Former | None:
    if data is None:
        return None
    (version, content_hash, summary, steps), report, messages = data
    plan = Plan(version, content_hash, summary, tuple(PlanStep(title, detail) for title, detail in steps))
    return Former(plan, report, load_messages(messages))


class WireInbox:
    """What people said to the task (see `contract.Inbox`), by way of the worker.

    Args:
        ask: asks the worker.
    """

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        return load_messages(await self._ask("messages", after=int(after)))

    async def former(self) -> Former | None:
        return load_former(await self._ask("former"))


def dump_window(window: Window) -> list[Any]:
    return [window.after, window.limit, window.max_bytes, window.newest]


def load_window(data: object) -> Window:
    if not isinstance(data, list):
        raise TypeError("no window of a transcript")
    after, limit, max_bytes, newest = data  # pyright: ignore[reportUnknownVariableType]
    try:
        return checked_window(after, limit, max_bytes, newest)  # pyright: ignore[reportUnknownArgumentType]
    except AgentRefused as error:  # the agent's process has checked it: this comes past that
        raise ValueError(error.detail) from error


def dump_transcript(messages: Sequence[TranscriptMessage]) -> list[Any]:
    return [[each.position, dict(each.data), each.version, each.step, each.at.isoformat()] for each in messages]


def load_transcript(data: list[Any]) -> tuple[TranscriptMessage, ...]:
    return tuple(
        TranscriptMessage(position, members, version, step, datetime.fromisoformat(at))
        for position, members, version, step, at in data
    )
