"""One turn: an answer of the model, the calls that it wants, and what they answered."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pavo.agents.calling.request import MAX_ARGUMENT_BYTES, READ_ARTIFACT
from pavo.agents.contract import JSON, AgentContext, Event
from pavo.agents.llm_agent.asking import Asking, clean, message_of, text_of
from pavo.agents.llm_agent.conversation import BEGUN, DONE, LEFT, Conversation, Work, size_of
from pavo.agents.llm_agent.wording import fitting, shown
from pavo.errors import ToolFailed
from pavo.kit.json_values import NotStorable, plain

MAX_CALLS: Final = 50
"""Of one answer."""
TOLD_CHARACTERS: Final = 2_000
"""Of what the model said, in the timeline."""
NOTE_CHARACTERS: Final = 500
SAID_BYTES: Final = 60_000
"""Of what the model said beside its calls, as it is shown it again."""
CALLED_BYTES: Final = 120_000
"""Of the arguments of all calls of one answer, likewise: a message of a transcript has 256,000 bytes at most, and
arguments are quoted once more in it. What is longer is called with all of it, and shown cut."""
CUT_BYTES: Final = 1_000
"""Of arguments that are shown cut."""
RESULT_BYTES: Final = 700_000
"""Of the model's last word: it stands in the last checkpoint, and in the report."""
ONCE: Final = "allow this call"
ALWAYS: Final = "allow the tool in this task"
DENY: Final = "deny"
GO_ON: Final = "go on"
REFUSE: Final = "do not"

PLAN_STEP: Final = "plan_step"
OWN: Final[Sequence[JSON]] = (
    {
        "type": "function",
        "function": {
            "name": PLAN_STEP,
            "description": "Say which step of the plan you begin, or what became of one.",
            "parameters": {
                "type": "object",
                "properties": {
                    "number": {"type": "integer", "minimum": 1},
                    "state": {"enum": [BEGUN, DONE, LEFT]},
                    "note": {"type": "string", "description": "What was done, or why it was left, in a sentence."},
                },
                "required": ["number", "state"],
            },
        },
    },
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that the model wants."""

    name: str
    arguments: Mapping[str, JSON]
    wrong: str = ""
    """Why it is none."""

    @property
    def hash(self) -> str:
        """Names the tool and its arguments."""
        text = json.dumps([self.name, dict(self.arguments)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


class Turns:
    """Takes the turns of one conversation."""

    def __init__(self, ctx: AgentContext, conversation: Conversation, accepted: frozenset[str], steps: int) -> None:
        self._ctx = ctx
        self._asking = Asking(ctx)
        self._all = conversation
        self._accepted = accepted
        self._steps = steps
        self._same = int(ctx.options.get("same_calls", 5))
        self._granted: set[str] = set()
        """Tools that people allow in this task, by what they answered in this turn."""

    async def take(self) -> Event:
        """One turn; what is to be told of it. The conversation is changed once all of it has come to its end."""
        found = self._all
        key = f"llm/{found.compactions}/{found.turn}"
        answer = await self._asking.complete(found.messages, tools=found.shown.tools, key=key, former=found.asked)
        wanted = wanted_of(message_of(answer))
        results = await asyncio.gather(*(self._result(call, number) for number, call in enumerate(wanted)))
        said = text_of(answer)
        tokens = found.count(answer.get("usage"))
        found.add(self._kept(said, wanted))
        for number, (call, result) in enumerate(zip(wanted, results, strict=True)):
            found.add({"role": "tool", "tool_call_id": f"c{found.turn}-{number}", "content": result})
            self._note(call)
        found.turn += 1
        found.allowed = sorted({*found.allowed, *self._granted})
        found.still += 1
        if any(call.name == PLAN_STEP and not call.wrong for call in wanted):
            found.still = found.still_tokens = 0
        if not wanted:
            found.result = fitting(said, RESULT_BYTES)
        told = {"turn": found.turn, "text": said[:TOLD_CHARACTERS], "tokens": tokens}
        return Event("model_answered", {**told, "calls": [call.name[:100] for call in wanted]})

    def _kept(self, said: str, wanted: Sequence[Wanted]) -> JSON:
        """The answer without what only its provider knows: ids of calls are ours, unique in all of the conversation."""
        message: dict[str, JSON] = {"role": "assistant", "content": fitting(said, SAID_BYTES)}
        left, made = CALLED_BYTES, list[JSON]()
        for number, call in enumerate(wanted):
            text = json.dumps(dict(call.arguments), ensure_ascii=False)
            if (size := size_of(text)) > left:
                text = json.dumps({"cut": fitting(text, CUT_BYTES)}, ensure_ascii=False)
            else:
                left -= size
            function = {"name": call.name, "arguments": text}
            made.append({"id": f"c{self._all.turn}-{number}", "type": "function", "function": function})
        return {**message, "tool_calls": made} if made else message

    async def _result(self, call: Wanted, number: int) -> str:
        if call.wrong:
            return f"error: {call.wrong}"
        if call.name == PLAN_STEP:
            return "noted" if self._step_of(call) else f"error: the plan has steps 1 to {self._steps}"
        if not self._is_offered(call.name):
            return f"error: there is no function {call.name[:100]!r}"
        refused = await self._refused(call, number)
        if refused:
            return f"error: {refused}"
        found = self._all
        try:
            answer = await self._ctx.call(
                call.name, call.arguments, key=f"llm/{found.compactions}/{found.turn}/{number}"
            )
        except ToolFailed as failed:
            return f"error: {failed.detail}" + (f" {failed.remedy}" if failed.remedy else "")
        return shown(answer)

    async def _refused(self, call: Wanted, number: int) -> str:
        """Why people do not want it, or nothing."""
        known = {*self._accepted, *self._all.allowed, READ_ARTIFACT}  # it shows what the model has been given already
        if call.name not in known:
            question = (
                f"The model wants to call the tool {call.name}, which the accepted plan does not name. May it?"
                f"\n\n{_told(call)}"
            )
            key = f"llm/tool/{self._all.turn}/{number}"
            said = await self._ctx.ask(key, question, choices=[ONCE, ALWAYS, DENY])
            if said not in (ONCE, ALWAYS):
                return f"people do not allow this call of {call.name}"
            if said == ALWAYS:
                self._granted.add(call.name)
        made = self._all.repeated.get(call.hash, 0)
        if made and made % self._same == 0:
            question = f"The model has called {call.name} {made} times with these arguments. Again?\n\n{_told(call)}"
            key = f"llm/again/{call.hash}/{made}"
            if await self._ctx.ask(key, question, choices=[GO_ON, REFUSE]) != GO_ON:
                return "you have called this often enough with these arguments, people say: do something else"
        return ""

    def _note(self, call: Wanted) -> None:
        found = self._all
        if call.wrong:
            return
        if call.name != PLAN_STEP:
            found.repeat(call.hash)
            found.worked().calls += 1
        elif number := self._step_of(call):
            work = found.work.setdefault(str(number), Work())
            work.state = str(call.arguments.get("state", BEGUN))[:20]
            work.note = str(call.arguments.get("note") or work.note)[:NOTE_CHARACTERS]
            found.step = number

    def _step_of(self, call: Wanted) -> int:
        number = call.arguments.get("number")
        return number if type(number) is int and 1 <= number <= self._steps else 0

    def _is_offered(self, name: str) -> bool:
        return any(each["function"]["name"] == name for each in self._all.shown.tools)


def wanted_of(message: Mapping[str, Any]) -> list[Wanted]:
    """The calls of an answer; whatever else stands there is a call that is none."""
    given = message.get("tool_calls")
    calls = cast(list[Any], given) if isinstance(given, list) else []
    found = [_wanted(each) for each in calls[:MAX_CALLS]]
    return [*found, *(Wanted("", {}, f"more than {MAX_CALLS} calls at once") for _ in calls[MAX_CALLS : MAX_CALLS + 1])]


def _wanted(call: Any) -> Wanted:
    function = cast(Any, call).get("function") if isinstance(call, Mapping) else None
    members = cast(dict[str, Any], function) if isinstance(function, dict) else dict[str, Any]()
    name = clean(str(members.get("name") or ""))[:200]
    text = members.get("arguments") or "{}"
    try:
        arguments, size = plain(json.loads(text) if isinstance(text, str) else text)
    except (ValueError, RecursionError, NotStorable) as error:
        return Wanted(name, {}, f"its arguments are no JSON: {clean(str(error))[:200]}")
    if not isinstance(arguments, dict) or size > MAX_ARGUMENT_BYTES:
        return Wanted(
            name, {}, "its arguments are no JSON object" if size <= MAX_ARGUMENT_BYTES else "they are too many"
        )
    return Wanted(name, cast(dict[str, JSON], arguments))


def _told(call: Wanted) -> str:
    text = json.dumps(dict(call.arguments), ensure_ascii=False, indent=1)
    return text if len(text) <= TOLD_CHARACTERS else f"{text[:TOLD_CHARACTERS]} …"
