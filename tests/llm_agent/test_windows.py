"""The agent `llm` with models that read little: it is shown less, by option or as servers say."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pavo.agents.llm_agent.compaction import is_too_long
from pavo.errors import ModelRefused
from tests.llm_agent.life import Life
from tests.llm_agent.model import calls, told

SAYS = (
    "The model's server (127.0.0.1) answered 400: This model's maximum context length is 8192 tokens. However, your "
    "messages resulted in 9000 tokens. Please reduce the length of the messages."
)


@pytest.mark.parametrize(
    ("status", "text", "so"),
    [
        (400, SAYS, True),
        (400, "the request exceeds the available context size. try increasing the context size", True),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", True),
        (413, "Request too large for model", True),
        (422, "`inputs` must have less than 4096 tokens. Given: 5000", True),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", True),
        (400, "Too long. (context_length_exceeded)", True),
        (400, "Unknown parameter: 'temperature'.", False),
        (429, "Too many tokens per minute.", False),
        (402, "This task has a budget of 5 tokens.", False),
    ],
)
def test_what_servers_say_of_what_is_too_long_is_known(status: int, text: str, so: bool) -> None:
    assert is_too_long(ModelRefused(text, status=status)) is so


def length(request: Mapping[str, Any]) -> int:
    return len(json.dumps(request["messages"]))


class Small:
    """A model that reads so many bytes, and looks `last` times."""

    def __init__(self, window: int, last: int) -> None:
        self.window, self.last = window, last
        self.longest = self.refused = 0
        self.texts: list[str] = []

    def __call__(self, request: Mapping[str, Any]) -> Any:
        if length(request) > self.window:
            self.refused += 1
            return ModelRefused(SAYS, status=400)
        self.longest = max(self.longest, length(request))
        self.texts.append(json.dumps(request["messages"]))
        if not request.get("tools"):
            return "In short: bolts."
        looked = len(seen)
        return calls(("look", {"at": looked})) if looked < self.last else "Done."


seen: list[int] = []


def look(at: int) -> str:
    """Look."""
    seen.append(at)
    return f"{at}: " + "x" * 1_500


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@pytest.mark.parametrize("compaction", ["summary", "cut"])
async def test_what_the_server_says_is_too_long_is_shortened_and_asked_again(compaction: str) -> None:
    model = Small(12_000, 30)
    life = Life(model, {"look": look}, compaction=compaction, same_calls=1_000)
    assert await life.live() == "Done." and seen == list(range(30)), "each once, in turn"
    assert model.refused <= 2 + (compaction == "summary"), "once it is known, it is shortened before"
    assert [event.type for event in life.events].count("compacted") >= 3
    kept = [each.data["content"] for each in life.transcript.messages if each.data.get("role") == "tool"]
    assert len(kept) == 30, "the transcript has all"


async def test_where_nothing_can_be_left_out_the_refusal_stands() -> None:
    with pytest.raises(ModelRefused, match="maximum context length"):
        await Life(Small(100, 1), {"look": look}).live()
    with pytest.raises(ModelRefused, match="maximum context length"):
        await Life(Small(6_000, 30), {"look": look}, compaction="off").live()


@pytest.mark.parametrize("compaction", ["summary", "cut"])
async def test_the_window_is_an_option(compaction: str) -> None:
    model = Small(1_000_000, 20)
    life = Life(model, {"look": look}, compaction=compaction, window_bytes=8_000)
    assert await life.live() == "Done." and seen == list(range(20))
    assert model.longest < 8_000 + 4_000, "the task, and the call that made it too long"


@pytest.mark.parametrize("compaction", ["summary", "cut"])
async def test_of_a_turn_that_is_longer_than_what_is_kept_excerpts_stay(compaction: str) -> None:
    def much(at: int) -> str:
        """Look at much."""
        seen.append(at)
        return f"Number {at} is at the beginning. " + "y" * 9_000

    def answer(request: Mapping[str, Any]) -> Any:
        texts.append(json.dumps(request["messages"]))
        if not request.get("tools"):
            return "In short: much."
        return "Done." if seen else calls(*[("look", {"at": number}) for number in range(3)])

    texts: list[str] = []
    life = Life(answer, {"look": much}, compaction=compaction, window_bytes=20_000)
    assert await life.live() == "Done." and sorted(seen) == [0, 1, 2]
    assert (
        all(f"Number {number} is at the beginning." in texts[-1] for number in range(3))
        and "y" * 9_000 not in texts[-1]
    )
    assert not told({"messages": json.loads(texts[-1])})
    again = Life(answer, {"look": much}, compaction=compaction, window_bytes=20_000)
    again.transcript, again.checkpoint = life.transcript, {**life.checkpoint, "result": None}
    texts.clear()
    await again.live()
    assert "Number 2 is at the beginning." in texts[0], "an attempt that begins again shows the same"
