"""One turn: an answer of the model, the calls that it wants, and what they answered."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pavo.agents.calling.request import MAX_ARGUMENT_BYTES, READ_ARTIFACT
from pavo.agents.contract import JSON, AgentContext, Event
from pavo.agents.llm_agent.asking import NOTHING, Asking, clean, message_of, text_of
from pavo.agents.llm_agent.conversation import BEGUN, DONE, LEFT, Conversation, size_of
from pavo.agents.llm_agent.functions import spelled
from pavo.agents.llm_agent.last_word import heard
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
ONCE: Final = "allow this call"
ALWAYS: Final = "allow the tool in this task"
DENY: Final = "deny"
GO_ON: Final = "go on"
REFUSE: Final = "do not"

PLAN_STEP: Final = "plan_step"
STATES: Final = (BEGUN, DONE, LEFT)
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
                    "state": {"enum": [*STATES]},
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
    """As the model says it."""
    arguments: Mapping[str, JSON]
    wrong: str = ""
    """Why it is none."""
    tool: str = ""
    before: int = 0
    """How many equal ones were made before it, those of its own answer among them."""

    @property
    def hash(self) -> str:
        """Names the tool and its arguments."""
        text = json.dumps([self.tool or self.name, dict(self.arguments)], sort_keys=True, ensure_ascii=False)
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
        self._agreed: set[str] = set()
        """Calls, by hash, that people have made once more in this turn."""
        self._wanted = Counter[str]()
        """How often this answer wants each call."""

    async def take(self) -> Event:
        """One turn; what is to be told of it. The conversation is changed once all of it has come to its end."""
        found = self._all
        key = f"llm/{found.compactions}/{found.turn}"
        answer = await self._asking.complete(found.messages, tools=found.shown.tools, key=key, former=found.asked)
        wanted = self._counted(wanted_of(message_of(answer)))
        results = await asyncio.gather(*(self._result(call, number) for number, call in enumerate(wanted)))
        said = text_of(answer)
        tokens = found.count(answer.get("usage"))
        found.add(self._kept(said, wanted))
        for number, result in enumerate(results):
            found.add({"role": "tool", "tool_call_id": f"c{found.turn}-{number}", "content": result})
        found.turn += 1
        found.allowed = sorted({*found.allowed, *self._granted})
        found.still += 1
        if [call for call in wanted if self._noted(call)]:
            found.still = found.still_tokens = 0
        found.agreed |= {each: found.repeated[each] - 1 for each in self._agreed if each in found.repeated}
        if wanted:
            found.fruitless, found.half = 0, ""
        else:
            heard(found, answer)
        told = {"turn": found.turn, "text": said[:TOLD_CHARACTERS], "tokens": tokens}
        return Event("model_answered", {**told, "calls": [call.tool[:100] for call in wanted]})

    def _counted(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """The calls, each with its tool, and how many equal ones came before it."""
        found: list[Wanted] = []
        for each in wanted:
            call = replace(each, tool=self._all.shown.names.get(each.name, each.name))
            before = self._all.repeated.get(call.hash, 0) + self._wanted[call.hash]
            self._wanted[call.hash] += not call.wrong
            found.append(replace(call, before=before))
        return found

    def _kept(self, said: str, wanted: Sequence[Wanted]) -> JSON:
        """The answer without what only its provider knows: ids of calls are ours, unique in all of the conversation."""
        said = said if said.strip() or wanted else NOTHING
        message: dict[str, JSON] = {"role": "assistant", "content": fitting(said, SAID_BYTES)}
        left, made = CALLED_BYTES, list[JSON]()
        shown = {tool: name for name, tool in self._all.shown.names.items()}
        for number, call in enumerate(wanted):
            text = json.dumps(dict(call.arguments), ensure_ascii=False)
            if (size := size_of(text)) > left:
                text = json.dumps({"cut": fitting(text, CUT_BYTES)}, ensure_ascii=False)
            else:
                left -= size
            function = {"name": shown.get(call.tool) or spelled(call.name), "arguments": text}
            made.append({"id": f"c{self._all.turn}-{number}", "type": "function", "function": function})
        return {**message, "tool_calls": made} if made else message

    async def _result(self, call: Wanted, number: int) -> str:
        if call.wrong:
            return f"error: {call.wrong}"
        if call.name == PLAN_STEP:
            if not self._step_of(call):
                return f"error: the plan has steps 1 to {self._steps}"
            return "noted" if _state_of(call) else f"error: a state is one of {', '.join(STATES)}"
        if not self._is_offered(call.tool):
            return f"error: there is no function {call.name[:100]!r}"
        refused = await self._refused(call, number)
        if refused:
            return f"error: {refused}"
        found = self._all
        try:
            answer = await self._ctx.call(
                call.tool, call.arguments, key=f"llm/{found.compactions}/{found.turn}/{number}"
            )
        except ToolFailed as failed:
            return f"error: {failed.detail}" + (f" {failed.remedy}" if failed.remedy else "")
        return shown(answer)

    async def _refused(self, call: Wanted, number: int) -> str:
        """Why people do not want it, or nothing."""
        known = {*self._accepted, *self._all.allowed, READ_ARTIFACT}  # it shows what the model has been given already
        if call.tool not in known:
            question = (
                f"The model wants to call the tool {call.tool}, which the accepted plan does not name. May it?"
                f"\n\n{_told(call)}"
            )
            key = f"llm/tool/{self._all.turn}/{number}"
            said = await self._ctx.ask(key, question, choices=[ONCE, ALWAYS, DENY])
            if said not in (ONCE, ALWAYS):
                return f"people do not allow this call of {call.tool}"
            if said == ALWAYS:
                self._granted.add(call.tool)
        if call.before >= self._all.agreed.get(call.hash, 0) + self._same and not await self._may_again(call):
            return "you have called this often enough with these arguments, people say: do something else"
        return ""

    async def _may_again(self, call: Wanted) -> bool:
        """Whether people say to go on with a call that was made often; once for all equal ones of this answer."""
        made, wanted = self._all.repeated.get(call.hash, 0), self._wanted[call.hash]
        question = f"The model has called {call.tool} {made} times with these arguments"
        if not made:
            question = f"The model wants to call {call.tool} {wanted} times at once with these arguments"
        elif wanted > 1:
            question = f"{question}, and wants {wanted} more at once"
        key = f"llm/again/{self._all.turn}/{call.hash}"
        if await self._ctx.ask(key, f"{question}. Again?\n\n{_told(call)}", choices=[GO_ON, REFUSE]) != GO_ON:
            return False
        self._agreed.add(call.hash)
        return True

    def _noted(self, call: Wanted) -> bool:
        """Note a call; whether it tells of progress."""
        found = self._all
        if call.wrong:
            return False
        if call.name != PLAN_STEP:
            found.repeat(call.hash)
            found.worked().calls += 1
            return False
        number, state = self._step_of(call), _state_of(call)
        note = str(call.arguments.get("note") or "")[:NOTE_CHARACTERS]
        return bool(number and state) and found.told_of(number, state, note)

    def _step_of(self, call: Wanted) -> int:
        number = call.arguments.get("number")
        return number if type(number) is int and 1 <= number <= self._steps else 0

    def _is_offered(self, tool: str) -> bool:
        shown = self._all.shown
        given = (each["function"]["name"] for each in shown.tools)
        return any(shown.names.get(name, name) == tool for name in given)


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


def _state_of(call: Wanted) -> str:
    """What it says of a step; empty: nothing that there is."""
    state = call.arguments.get("state", BEGUN)
    return state if isinstance(state, str) and state in STATES else ""


def _told(call: Wanted) -> str:
    text = json.dumps(dict(call.arguments), ensure_ascii=False, indent=1)
    return text if len(text) <= TOLD_CHARACTERS else f"{text[:TOLD_CHARACTERS]} …"
