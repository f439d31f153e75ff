"""What models say by the gateway, on its way from the API that asks them to the worker whose agent is answered.

Viewers are shown what a task's attempt says by that worker alone, so it is bounded, numbered and taken back as
everything else that the attempt says. Each token has a channel of Redis; nobody listens to that of an attempt that is
over. What Redis loses is lost: of an answer of which something is missing nothing is shown any more.
"""

import itertools
import logging
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson
from redis.asyncio import Redis

from pavo.agents.emitting.coalescer import CHILD_SECONDS, Coalescer
from pavo.agents.event_types import MODEL_TEXT
from pavo.kit.subscription import Subscription
from pavo.llm.client import Told
from pavo.llm.gateway.bearers import Bearer
from pavo.tasks.sql.gateway_tokens import PLAN
from pavo.tasks.work.context.shown_answers import MOST_AT_ONCE, ShownAnswer, ShownAnswers
from pavo.timeline.merge import ANEW, Parts
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)

CHANNEL: Final = "pavo:gateway:"
"""What stands before a token's hash in the name of its channel."""
_ALWAYS: Final = "pavo:gateway"
"""Nobody speaks here; it keeps the connection."""


def channel_of(token_hash: bytes) -> str:
    """The channel of what models say to whoever has this token."""
    return f"{CHANNEL}{token_hash.hex()}"


class Relay:
    """One answer's way to the worker: a `llm.telling.ToldTries`. Belongs to the API's event loop."""

    def __init__(self, publisher: Publisher, bearer: Bearer, request_hash: str) -> None:
        self._publisher, self._channel = publisher, channel_of(bearer.hash)
        self._call: Mapping[str, Any] = {"call": uuid.uuid4().hex, "same": request_hash}
        self._count = 0
        self._gathering = Coalescer(self._send, CHILD_SECONDS)
        step = 0 if bearer.place == PLAN else int(bearer.place)
        self._answer = ShownAnswer(self._gathering.add, step, MODEL_TEXT, itertools.count(1))

    def begin(self, number: int, before: str | None = None) -> Told:
        """A try begins: of one that is lost nothing stays."""
        return self._answer.begin(number, before)

    def end(self, *, came: bool) -> None:
        """The call is over: what was said stays until the step is recorded, if an answer came."""
        if not came:
            self._answer.take_back()
        self._gathering.flush()
        if self._count:
            self._publisher.tell(self._channel, orjson.dumps({**self._call, "over": True}))

    def _send(self, step: int, parts: Parts) -> None:
        self._count += 1
        said = {"step": step, "count": self._count, "data": parts[MODEL_TEXT]}
        self._publisher.tell(self._channel, orjson.dumps({**self._call, **said}))


@dataclass(slots=True)
class _Answer:
    """An answer under way."""

    same: str
    """Hash of what was asked: a client that asks it again, at whichever API, got no answer, and this one has no end."""
    shown: ShownAnswer | None
    place: ExitStack = field(default_factory=ExitStack)
    count: int = 0
    which: int = -1


class Heard:
    """What is said to the holder of one token, shown where everything is that its attempt says."""

    def __init__(self, answers: ShownAnswers) -> None:
        self._answers = answers
        self._under_way: dict[str, _Answer] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """Follow a message of an API's."""
        call = message["call"]
        if "over" in message:
            if (ended := self._under_way.pop(call, None)) is not None:
                ended.place.close()
            return
        answer = self._under_way.get(call)
        if answer is None:
            if message["count"] != 1:
                return  # what was said before was missed, or another call has its place
            answer = self._begin(call, message["same"], message["step"])
        answer.count += 1
        if message["count"] != answer.count:
            self._take_back(call)
            return
        self._show(answer, message["data"])

    def _begin(self, call: str, same: str, step: int) -> _Answer:
        for known in [each for each, answer in self._under_way.items() if answer.same == same]:
            self._take_back(known)
        if len(self._under_way) >= MOST_AT_ONCE:
            self._take_back(next(iter(self._under_way)))  # its API may be gone
        place = ExitStack()
        answer = self._under_way[call] = _Answer(same, place.enter_context(self._answers.place(step)), place)
        return answer

    def _take_back(self, call: str) -> None:
        answer = self._under_way.pop(call)
        if answer.shown is not None:
            answer.shown.take_back()
        answer.place.close()

    @staticmethod
    def _show(answer: _Answer, data: Mapping[str, Any]) -> None:
        if answer.shown is None:
            return
        if data[ANEW] != answer.which:
            answer.which = data[ANEW]
            answer.shown.begin(answer.which, data["text"])
        else:
            answer.shown.more(data["text"])


class WorkerGateways:
    """What is said to the agents of one worker. Belongs to the event loop that runs it."""

    def __init__(self, redis: Redis) -> None:
        self._subscription = Subscription(redis, [_ALWAYS], self._take)
        self._heard: WeakValueDictionary[str, Heard] = WeakValueDictionary()
        self._asked = set[str]()
        """Channels, also of those who are gone."""

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._subscription.run()

    async def hear(self, answers: ShownAnswers, token_hash: bytes) -> Heard:
        """Show what is said to the holder of this token, for as long as the caller keeps what this answers.

        Nothing that is said from here on is missed, unless Redis is away or takes longer than a second.
        """
        for gone in self._asked - set(self._heard):
            self._subscription.drop(gone)
            self._asked.discard(gone)
        name = channel_of(token_hash)
        found = self._heard[name] = Heard(answers)
        self._asked.add(name)
        await self._subscription.want(name)
        return found

    def _take(self, channel: str, data: bytes) -> None:
        if (heard := self._heard.get(channel)) is None:
            return
        try:
            heard.take(orjson.loads(data))
        except (ValueError, LookupError, TypeError):
            logger.warning("What a model says by the gateway cannot be read, and is not shown", exc_info=True)
