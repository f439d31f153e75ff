"""A conversation that is too long for its model, or for its bill: shown in short from there on, and kept whole."""

import re
from collections.abc import Sequence
from typing import Final

from pavo.agents.contract import AgentContext, Event
from pavo.agents.llm_agent.asking import Asking, text_of
from pavo.agents.llm_agent.conversation import WINDOW_BYTES, Conversation, Said
from pavo.agents.llm_agent.wording import fitting
from pavo.errors import ModelRefused

SUMMARY_REQUEST: Final = (
    "The conversation is getting long. Write down, in text and without calling a function, what whoever goes on with "
    "the task needs to know: what was done for which step of the plan, what was found (with names and numbers), what "
    "was decided, and what is left."
)
CHARACTERS: Final = 20_000
"""Of such a summary."""
LEFT_OUT: Final = "# What was said before is not shown any more\nGo on with the task from what follows."
KEPT: Final = 5
"""Of what may be shown, this part at most is kept as it is, where the rest is summed up."""
CUT: Final = 2
"""The same where nothing is: what is cut is not known to the model any more."""
LEAST_BYTES: Final = 2_000
"""A conversation of less is not shortened: then it is the task itself that is too long."""

_TOO_LONG: Final = re.compile(
    r"context.?(length|window|size)|maximum context|available context|too many (input )?tokens|reduce the length"
    r"|(prompt|input|request|messages?)( is| are)? too (long|large)|input token count|exceeds? the maximum.{0,40}token"
    r"|must have less than \d+ tokens|must be <= \d+",
    re.I,
)
_STATUSES: Final = frozenset((400, 413, 422))


def is_too_long(refused: ModelRefused) -> bool:
    """Whether a model's server says that it was sent more than its model can read."""
    return refused.extra.get("status") in _STATUSES and _TOO_LONG.search(refused.detail) is not None


class Compaction:
    """Of one conversation."""

    def __init__(self, ctx: AgentContext, conversation: Conversation) -> None:
        self._ctx = ctx
        self._all = conversation
        self._kind = ctx.options.get("compaction", "summary")
        self._window = min(int(ctx.options.get("window_bytes", WINDOW_BYTES)), conversation.window or 2**40)

    @property
    def is_due(self) -> bool:
        """Whether it is longer than may be shown."""
        return self._all.size > self._window and self._kind != "off"

    async def make(self) -> Event:
        """Show the last messages, and in the place of those before them a summary, or nothing."""
        return await self._shortened(self._window // (KEPT if self._kind == "summary" else CUT))

    async def after(self, refused: ModelRefused) -> Event:
        """The same where the model's server says that it is too long: about half is left out, and what is shown stays
        below that from there on.

        Raises:
            ModelRefused: nothing can be left out.
        """
        found, size = self._all, self._all.size
        if self._kind == "off" or not is_too_long(refused):
            raise refused
        if found.shown.past:
            return self._forgotten()
        if size <= LEAST_BYTES:
            raise refused
        found.window = max(LEAST_BYTES, size * 4 // 5)
        return await self._shortened(size // 2)

    async def _shortened(self, limit: int) -> Event:
        found = self._all
        kept = found.last(limit)
        dropped = found.shown.recent[: len(found.shown.recent) - len(kept)]
        told, tokens = LEFT_OUT, 0
        if self._kind == "summary":
            try:
                told, tokens = await self._summary(dropped)
            except ModelRefused as refused:
                if not is_too_long(refused):
                    raise
        if not any(each.data["role"] == "assistant" for each in kept):
            told += _excerpt(dropped, max(limit, LEAST_BYTES))
        return self._compacted(kept, told, tokens)

    async def _summary(self, dropped: Sequence[Said]) -> tuple[str, int]:
        """What the model says in short of what it is not shown any more; and what that took."""
        found = self._all
        shown = found.messages[: len(found.messages) - len(found.shown.recent)]
        request = [*shown, *(each.data for each in dropped), {"role": "user", "content": SUMMARY_REQUEST}]
        key = f"llm/compaction/{found.compactions}"
        answer = await Asking(self._ctx).complete(request, key=key, former=found.asked)
        summary = fitting(text_of(answer)[:CHARACTERS], max(self._window // 4, LEAST_BYTES)) or "(nothing)"
        return f"# What was done so far, in short\n{summary}\n\nGo on from there.", found.count(answer.get("usage"))

    def _forgotten(self) -> Event:
        """Leave out what was said before this work: the plan and the report of it stand in the task."""
        found = self._all
        before = sum(len(str(each)) for each in found.shown.past)
        found.past, found.shown.past = 0, []
        found.compactions += 1
        return _event(found, before + found.size, 0)

    def _compacted(self, kept: Sequence[Said], told: str, tokens: int) -> Event:
        before = self._all.size
        self._all.keep(kept, {"role": "user", "content": told})
        return _event(self._all, before, tokens)


def _event(found: Conversation, before: int, tokens: int) -> Event:
    return Event("compacted", {"turn": found.turn, "bytes": before, "left": found.size, "tokens": tokens})


def _excerpt(dropped: Sequence[Said], limit: int) -> str:
    """The beginnings of what was called last and of what it answered: no turn is left out whole."""
    at = next((at for at in range(len(dropped) - 1, -1, -1) if dropped[at].data["role"] == "assistant"), len(dropped))
    if at == len(dropped) or not (calls := dropped[at].data.get("tool_calls")):
        return ""
    answers = {each.data.get("tool_call_id"): each.data["content"] for each in dropped[at:]}
    each_bytes, lines = max(200, limit // len(calls)), list[str]()
    for call in calls:
        function = call["function"]
        asked = fitting(f"{function['name']}({function['arguments']})", max(100, each_bytes // 5))
        lines.append(f"- {asked}: {fitting(str(answers.get(call['id'], '')), each_bytes)}")
    return fitting("\n\n# The last calls, and the beginnings of what they answered\n" + "\n".join(lines), 2 * limit)
