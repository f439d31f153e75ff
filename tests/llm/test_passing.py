"""An answer on its way to a client of the gateway: whatever its server does, what comes out is its text, once."""

import asyncio
import json
from typing import Any

from pavo.llm.assembling import Assembly
from pavo.llm.client import Told
from pavo.llm.gateway.passing import MAX_WAITING_BYTES, Passing


class Upstream:
    """A model's server, and the answer that is recorded."""

    def __init__(self, passing: Passing) -> None:
        self.passing, self.assembly = passing, Assembly()
        self.told: Told = passing.begin(1)

    def again(self) -> None:
        self.assembly, self.told = Assembly(), self.passing.begin(2)

    def say(self, delta: dict[str, Any], reason: str | None = None, index: int = 0) -> None:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        self.told(self.assembly.add(json.dumps({"id": "c", "choices": [choice]}, indent=1).encode()))

    def rest(self) -> list[bytes] | None:
        return self.passing.rest(self.assembly.answer())


def frames_of(passing: Passing) -> list[bytes]:
    return [frame for frame, _ in passing.taken()]


def said(frames: list[bytes] | None) -> tuple[str, list[str]]:
    assert frames is not None
    assert all(frame.startswith(b"data: ") and frame.count(b"\n") == 2 for frame in frames), "one line each"
    choices = [choice for frame in frames for choice in json.loads(frame[6:])["choices"]]
    reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices), reasons


def call(arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}]}


def test_the_end_waits_for_the_record() -> None:
    upstream = Upstream(passing := Passing(usage=True))
    upstream.say({"role": "assistant", "content": "Wrens "})
    upstream.say({"content": "weigh."}, "stop")
    assert said(frames_of(passing)) == ("Wrens ", [])
    rest = upstream.rest()
    assert said(rest) == ("weigh.", ["stop"]) and rest is not None and b"usage" in rest[-1]


def test_a_client_that_takes_nothing_gets_the_rest_in_the_end() -> None:
    upstream = Upstream(passing := Passing(usage=False))
    for _ in range(200):
        upstream.say({"content": "x" * 10_000})
    upstream.say({}, "stop")
    taken = frames_of(passing)
    assert sum(map(len, taken)) <= MAX_WAITING_BYTES
    (text, _), (rest, reasons) = said(taken), said(upstream.rest())
    assert text and text + rest == "x" * 2_000_000 and reasons == ["stop"]


def test_halves_of_a_character_come_whole_in_the_end() -> None:
    upstream = Upstream(passing := Passing(usage=False))
    for text in ("A ", "\ud83d", "\ude00", " b"):
        upstream.say({"content": text})
    upstream.say({}, "stop")
    assert said(frames_of(passing)) == ("A ", []) and said(upstream.rest()) == ("\N{GRINNING FACE} b", ["stop"])


def test_half_a_call_of_a_tool_goes_on_with_nothing_else() -> None:
    upstream = Upstream(passing := Passing(usage=False))
    upstream.say(call('{"a": '))
    assert passing.taken()
    upstream.again()
    upstream.say(call('{"a": 1}'))
    upstream.say({}, "tool_calls")
    assert passing.taken() == [] and upstream.rest() is None


def test_a_try_that_is_lost_before_it_said_anything_is_none() -> None:
    upstream = Upstream(passing := Passing(usage=False))
    upstream.say({"content": "No."}, "stop")
    upstream.again()
    upstream.say(call("{}"))
    upstream.say({}, "tool_calls")
    assert len(passing.taken()) == 1 and said(upstream.rest()) == ("", ["tool_calls"])


def test_an_answer_that_says_not_why_it_ends_ends_all_the_same() -> None:
    upstream = Upstream(passing := Passing(usage=False))
    upstream.say(call("{}"))
    assert len(passing.taken()) == 1 and said(upstream.rest()) == ("", ["tool_calls"])


def test_whoever_comes_in_the_middle_gets_it_whole() -> None:
    passing = Passing(usage=False)
    told, assembly = passing.begin(1, "Wrens "), Assembly()
    assembly.add(b'{"choices": [{"delta": {"content": "Wrens "}}]}')
    told(assembly.add(b'{"choices": [{"delta": {"content": "weigh."}}]}'))
    assert passing.taken() == [] and said(passing.rest(assembly.answer())) == ("Wrens weigh.", ["stop"])


async def test_what_waits_is_noticed_and_so_is_the_end() -> None:
    upstream = Upstream(passing := Passing(usage=False))
    asking = asyncio.create_task(asyncio.sleep(30))
    assert not await passing.more(asking, 0.01)
    upstream.say({"content": "x"})
    assert await passing.more(asking, 30)
    asking.cancel()
    assert await passing.more(asking, 30), "it has ended"
