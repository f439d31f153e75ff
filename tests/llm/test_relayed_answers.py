"""Viewers see what models say by the gateway while they say it, in both of its forms, and nothing twice."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pavo.gates.domain import Subject
from pavo.llm.assembling import Chunk
from pavo.llm.client import Told
from pavo.llm.gateway.bearers import Bearer
from pavo.llm.telling import Both
from pavo.tasks.gateway.relaying import Heard, Relay, WorkerGateways, channel_of
from pavo.tasks.work.context.shown_answers import MOST_AT_ONCE, ShownAnswers
from pavo.timeline.merge import Members, merged
from pavo.timeline.publish import Publisher
from pavo.usage.domain import Payer
from tests.driving import Tasks, until
from tests.llm.scripted import ModelScript, model_server
from tests.llm.test_gateway import KEY, LARKS, WRENS, Asking, Own, Streamed, asking, own, under_way
from tests.llm.test_shown_answers import Viewer

__all__ = ["asking", "model_server", "own"]


class Watching(Viewer):
    """A viewer of all answers: the agent's own call is under way beside those of a test."""

    def __init__(self, tasks: Tasks, task_id: str) -> None:
        super().__init__(tasks, task_id)
        self.every: list[str] = []

    def _show(self, place: tuple[int, int], deltas: list[dict[str, Any]]) -> None:
        super()._show(place, deltas)
        self.every += [self.shown[delta["type"]] for delta in deltas]

    def texts(self, beginning: str) -> list[str]:
        """What is shown now and begins so."""
        return [text for text in self.shown.values() if text.startswith(beginning)]

    async def sees(self, text: str) -> None:
        async def seen() -> bool:
            return bool(self.texts(text))

        await until(seen, what=f"{text!r} to be seen")
        assert len(self.texts(text)) == 1, "shown twice"


class Responded(Streamed):
    """The same by the Responses API."""

    async def _run(self, asking: Asking, body: str, headers: dict[str, str]) -> None:
        request = json.loads(body)
        asked = {"model": request["model"], "user": request["user"], "stream": True}
        asked["input"] = [{"role": "user", "content": each["content"]} for each in request["messages"]]
        given = {"authorization": f"Bearer {asking.token()}", **headers}
        client = asking.tasks.client
        async with client.stream("POST", "/llm/v1/responses", content=json.dumps(asked), headers=given) as answer:
            self.status = answer.status_code
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    event = json.loads(line.removeprefix("data: "))
                    self.done = self.done or event["type"] == "response.completed"


async def made(asking: Asking, text: str = WRENS, hold: bool = True) -> ModelScript:
    return asking.own.models.script({"text": text, "hold": hold}, key=KEY)


@pytest.mark.parametrize("form", [Streamed, Responded])
async def test_it_is_seen_while_it_is_made_and_not_again_from_the_record(asking: Asking, form: type[Streamed]) -> None:
    async with under_way(asking):
        other = await made(asking)
        viewer = Watching(asking.tasks, asking.id)
        stream = form(asking, other.request("x"))
        await viewer.sees("Wrens weigh")
        late = Watching(asking.tasks, asking.id)
        await late.sees("Wrens weigh")
        assert not stream.done
        other.release()
        await asyncio.wait_for(stream.task, 20)
        assert stream.done
        await viewer.sees(WRENS)
        told = len(viewer.every)
        again = form(asking, other.request("x"), **{"x-stainless-retry-count": "1"})
        await asyncio.wait_for(again.task, 20)
        assert again.done and other.calls() == [1]
        larks = await made(asking, text=LARKS, hold=False)
        await asyncio.wait_for(form(asking, larks.request("x")).task, 20)
        await viewer.sees(LARKS)
        assert all(LARKS.startswith(text) for text in viewer.every[told:]), "what is recorded was shown again"
    for each in (viewer, late):
        await each.end()


async def test_a_call_that_is_not_streamed_is_seen_too_unless_its_client_says_no(asking: Asking) -> None:
    async with under_way(asking):
        other, hidden = await made(asking), await made(asking, text=LARKS)
        viewer = Watching(asking.tasks, asking.id)
        silent = asyncio.create_task(
            asking.post(asking.token(), json.dumps(hidden.request("x")), **{"x-pavo-show": "no"})
        )
        whole = asyncio.create_task(asking.post(asking.token(), json.dumps(other.request("x"))))
        await viewer.sees("Wrens weigh")
        hidden.release()
        other.release()
        assert [each.status_code for each in await asyncio.gather(silent, whole)] == [200, 200]
        await viewer.sees(WRENS)
        assert not any(LARKS.startswith(text) for text in viewer.every if text)
    await viewer.end()


async def test_a_lost_try_is_replaced_and_an_answer_that_never_comes_taken_back(asking: Asking) -> None:
    async with under_way(asking):
        other = await made(asking)
        viewer = Watching(asking.tasks, asking.id)
        stream = Streamed(asking, other.request("x"))
        await viewer.sees("Wrens weigh")
        other.tell({"text": LARKS}, key=KEY)
        asking.own.models.kill()
        asking.own.models.start()
        await asyncio.wait_for(stream.task, 20)
        assert stream.error == "answer_changed"
        await viewer.sees(LARKS)
        refused = await made(asking, text="Owls weigh six hundred grams.")
        stream = Streamed(asking, refused.request("y"))
        await viewer.sees("Owls weigh")
        refused.tell({"text": "No.", "faults": [{"status": 400}] * 9}, key=KEY)
        asking.own.models.kill()
        asking.own.models.start()
        await asyncio.wait_for(stream.task, 20)
        assert stream.error == "model"

        async def gone() -> bool:
            return not viewer.texts("Owls")

        await until(gone, what="what has no end to be taken back")
    await viewer.end()


@pytest.mark.fault
async def test_killed_in_mid_answer_it_is_taken_back_and_seen_once_more(own: Own, asking: Asking) -> None:
    asking.script.tell({"text": WRENS, "hold": "round 0"}, key=KEY)
    await asking.start("on_gateway")
    await asking.until_asked("round 0")
    viewer = Watching(asking.tasks, asking.id)
    await viewer.sees("Wrens weigh")
    own.worker.kill()
    own.worker = await own.parts.start("worker", **own.environment)

    async def taken_back() -> bool:
        return bool(viewer.taken_back)

    await until(taken_back, what="what the dead attempt said to be taken back")
    asking.script.release()
    await asking.done()
    await viewer.end()


class Shown:
    """What the attempt of a worker shows."""

    def __init__(self) -> None:
        self.parts: dict[str, Members] = {}
        self.answers = ShownAnswers(self.show)

    def show(self, step: int, name: str, data: Members) -> None:
        self.parts[name] = merged(self.parts.get(name), data)

    @property
    def texts(self) -> list[str]:
        return [members["text"] for _, members in sorted(self.parts.items())]


def said(call: str, count: int, text: str, *, same: str = "", anew: int = 1) -> dict[str, Any]:
    return {"call": call, "same": same or call, "count": count, "step": 1, "data": {"text": text, "anew": anew}}


def test_what_is_missed_is_taken_back_and_nothing_more_is_shown() -> None:
    shown = Shown()
    heard = Heard(shown.answers)
    heard.take(said("late", 2, "not from the middle"))
    heard.take(said("a", 1, "Wrens "))
    heard.take(said("a", 2, "weigh"))
    assert shown.texts == ["Wrens weigh"]
    heard.take(said("a", 4, "grams"))
    assert shown.texts == [""]
    heard.take(said("a", 5, "."))
    heard.take({"call": "a", "same": "a", "over": True})
    assert shown.texts == [""]


def test_the_same_call_made_again_takes_the_place_of_one_that_never_ended() -> None:
    shown = Shown()
    heard = Heard(shown.answers)
    heard.take(said("a", 1, "Wrens wei", same="x"))
    heard.take(said("b", 1, "Wrens weigh", same="x"))
    heard.take(said("a", 2, "gh"))
    assert [text for text in shown.texts if text] == ["Wrens weigh"]


def test_those_that_never_end_leave_room_for_those_to_come() -> None:
    shown = Shown()
    heard = Heard(shown.answers)
    for number in range(3 * MOST_AT_ONCE):
        heard.take(said(f"{number}", 1, f"answer {number}"))
    assert sorted(shown.texts) == sorted(f"answer {number}" for number in range(2 * MOST_AT_ONCE, 3 * MOST_AT_ONCE))


@pytest_asyncio.fixture
async def redis(environment: dict[str, str]) -> AsyncIterator[Redis]:
    async with Redis.from_url(environment["REDIS_URL"]) as found:
        yield found


async def test_from_an_api_to_the_worker_that_listens(redis: Redis) -> None:
    publisher, gateways, shown = Publisher(redis), WorkerGateways(redis), Shown()
    publisher.start()
    running = asyncio.create_task(gateways.run())
    token = uuid.uuid4().bytes
    heard: Heard | None = None

    async def listens() -> bool:
        nonlocal heard
        heard = await gateways.hear(shown.answers, token)
        return dict(await redis.pubsub_numsub(channel_of(token)))[channel_of(token).encode()] == 1

    await until(listens, what="the worker to listen")
    subject = Subject(uuid.uuid4(), uuid.uuid4(), "v1")

    async def holds(*_: object) -> bool:
        return True

    bearer = Bearer(subject, 1, "3", True, token, Payer(subject, uuid.uuid4(), "a"), holds)
    relay, beside = Relay(publisher, bearer, "hash"), list[str]()
    both = Both(_Keeps(beside), relay)
    tell = both.begin(1)
    for letter in "Wrens":
        tell(Chunk(b"", letter, True, True, False))

    async def seen(text: str) -> bool:
        return shown.texts == [text]

    await until(lambda: seen("Wrens"), what="the text")
    assert "".join(beside) == "Wrens"
    other = uuid.uuid4().bytes  # of its own: what is logged of garbage holds on to whoever heard it
    kept = await gateways.hear(shown.answers, other)
    await redis.publish(channel_of(other), b"garbage")
    relay.end(came=False)
    await until(lambda: seen(""), what="it to be taken back")
    del heard
    await gateways.hear(shown.answers, uuid.uuid4().bytes)

    async def left() -> bool:
        return dict(await redis.pubsub_numsub(channel_of(token)))[channel_of(token).encode()] == 0

    await until(left, what="the worker to listen no more")
    assert kept is not None
    running.cancel()
    await asyncio.wait({running})
    await publisher.close()


class _Keeps:
    def __init__(self, kept: list[str]) -> None:
        self._kept = kept

    def begin(self, number: int, before: str | None = None) -> Told:
        return lambda chunk: self._kept.append(chunk.text)
