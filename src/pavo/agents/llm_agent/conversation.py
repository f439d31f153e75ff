"""The state of a conversation: what stands in the checkpoint, what in the transcript, and what the model is shown.

Every message is in the task's transcript, once; the checkpoint holds positions there, and what is known of the work.
What a request is made of (messages, tools) comes from these two alone, so that an attempt that begins again asks the
very same, and is given what was recorded.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, cast

from pavo.agents.contract import JSON, Event, Step
from pavo.errors import AgentRefused
from pavo.transcripts.domain import MAX_READ, MAX_READ_BYTES, Transcript

WINDOW_BYTES: Final = 200_000
"""Of the messages that the model is shown beside the task, where options say nothing: beyond it they are compacted."""
REPEATED: Final = 200
"""Calls of which it is known how often they were made."""
ASKED: Final = 20
"""Changes of whom is asked that are known."""

BEGUN: Final = "begun"
DONE: Final = "done"
LEFT: Final = "left"


@dataclass(slots=True)
class Work:
    """What was done about a step of the plan."""

    state: str = ""
    """Empty: the model said nothing of it."""
    note: str = ""
    told: list[str] = field(default_factory=list[str])
    """The states that the model said of it: each is news once."""
    tokens: int = 0
    calls: int = 0
    """Of tools."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message, where it stands, and how many bytes it has."""

    position: int
    data: JSON
    size: int


@dataclass(slots=True)
class Shown:
    """What the model is shown; read from the transcript where an attempt begins."""

    tools: Sequence[JSON] = ()
    """As the model is given them."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of tools, by those of their functions, where they differ."""
    beginning: list[JSON] = field(default_factory=list[JSON])
    """What tells it its task: never left out."""
    past: list[JSON] = field(default_factory=list[JSON])
    """The end of the conversations that this one follows, likewise."""
    summary: JSON | None = None
    recent: list[Said] = field(default_factory=list[Said])
    news: list[JSON] = field(default_factory=list[JSON])
    """Those that the next step records."""
    wrong: str = ""
    """Why the task fails once that is recorded."""


@dataclass(slots=True)
class Conversation:
    """See the module. All but `shown` stands in the checkpoint."""

    head: int
    """Position of its first message, which holds the tools. What stands before it is another conversation's."""
    past: int = 0
    """Of the first message of those conversations that is shown, where this one follows them; 0: none is."""
    told: int = 0
    """Of the last of those that tell the task."""
    tail: int = 0
    """Of the first of the recent ones that are shown."""
    end: int = 0
    """Of its last message."""
    summary: int = 0
    """Of what stands for those that are not shown; 0: nothing does."""
    turn: int = 0
    """How many answers of the model are recorded."""
    said: int = 0
    """`seq` of the last message of people that was passed on."""
    step: int = 0
    """Of the plan, that the model says it works on; 0: none."""
    work: dict[str, Work] = field(default_factory=dict[str, Work])
    """By number of the step; "0" for what belongs to none."""
    usage: dict[str, int] = field(default_factory=dict[str, int])
    repeated: dict[str, int] = field(default_factory=dict[str, int])
    """How often each call was made, by hash."""
    agreed: dict[str, int] = field(default_factory=dict[str, int])
    """How often each of them was made when people last said to go on."""
    allowed: list[str] = field(default_factory=list[str])
    """Tools that people allow in this task beside those of the plan."""
    compactions: int = 0
    window: int = 0
    """Bytes of the recent ones that its model can read, as its refusals tell; 0: it refused none."""
    still: int = 0
    """Turns since the model told of progress, or people said to go on."""
    still_tokens: int = 0
    """Tokens that these took, and summaries among them."""
    stops: int = 0
    """How often people said to stop: who resumes is asked anew."""
    fruitless: int = 0
    """Answers in a row that were empty, or cut."""
    half: str = ""
    """What a last word says that was cut: its beginning."""
    result: str | None = None
    """The model's last word; it is done."""
    asked: list[JSON] = field(default_factory=list[JSON])
    """Whom the options named, in turn: where they are changed within a turn, its answer is found by those before."""
    shown: Shown = field(default_factory=Shown)

    @classmethod
    def begun(
        cls,
        at: int,
        tools: Sequence[JSON],
        beginning: Sequence[JSON],
        past: Sequence[Said] = (),
        names: Mapping[str, str] | None = None,
    ) -> "Conversation":
        """A new one, whose first step is to be recorded before the model is asked.

        Args:
            at: how many messages the transcript has.
            beginning: what tells the model its task.
            past: the last of these, where it goes on with what was said before.
            names: of tools, by those of their functions, where they differ.
        """
        end, names = at + 1 + len(beginning), dict(names or {})
        head: JSON = {"tools": list(tools), **({"names": names} if names else {})}
        shown = Shown(tools, names, list(beginning), _as_past(past), news=[head, *beginning])
        first = past[0].position if past else 0
        return cls(at + 1, first, told=end, tail=end + 1, end=end, shown=shown)

    @classmethod
    def of(cls, checkpoint: JSON) -> "Conversation":
        """What the checkpoint says of one."""
        members = dict(cast(dict[str, Any], checkpoint))
        members["work"] = {number: Work(**each) for number, each in members["work"].items()}
        return cls(**members)

    @classmethod
    async def load(cls, checkpoint: JSON, transcript: Transcript) -> "Conversation":
        """The same, with what the model is shown."""
        found, shown = cls.of(checkpoint), Shown()
        tools, *beginning = await _read(transcript, found.head, found.told)
        shown.tools, shown.beginning = tools.data["tools"], [each.data for each in beginning]
        shown.names = tools.data.get("names", {})
        if found.past:
            shown.past = _as_past(await _read(transcript, found.past, found.head - 1))
        if found.summary:
            [summary] = await _read(transcript, found.summary, found.summary)
            shown.summary = summary.data
        recent = await _read(transcript, found.tail, found.end)
        shown.recent = [each for each in recent if each.position != found.summary]
        found.shown = shown
        return found

    @property
    def messages(self) -> list[JSON]:
        """Those that the model is shown."""
        shown = self.shown
        summary = [] if shown.summary is None else [shown.summary]
        return [
            *shown.beginning[:1],
            *shown.past,
            *shown.beginning[1:],
            *summary,
            *(each.data for each in shown.recent),
        ]

    @property
    def size(self) -> int:
        """Bytes of the recent ones."""
        return sum(each.size for each in self.shown.recent)

    def recorded(self, events: Sequence[Event]) -> Step:
        """The step that records what is new."""
        members = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "shown"}
        checkpoint = {
            **members,
            "work": {number: asdict(each) for number, each in self.work.items()},
            "usage": {**self.usage},
            "repeated": {**self.repeated},
            "agreed": {**self.agreed},
            "allowed": [*self.allowed],
            "asked": [*self.asked],
        }
        news, self.shown.news = self.shown.news, []
        return Step(checkpoint, events, plan_step=self.step or None, messages=news)

    def asks(self, whom: JSON) -> bool:
        """Note whom the options name; whether that is another one than before."""
        if self.asked[-1:] == [whom]:
            return False
        self.asked = [*self.asked, whom][-ASKED:]
        return True

    def add(self, message: JSON) -> None:
        """Append a message."""
        self.end += 1
        self.shown.news.append(message)
        self.shown.recent.append(Said(self.end, message, size_of(message)))

    def keep(self, kept: Sequence[Said], summary: JSON) -> None:
        """Show only these of the recent ones, and in the place of all before them the summary."""
        self.end += 1
        self.shown.news.append(summary)
        self.summary, self.shown.summary = self.end, summary
        self.shown.recent = list(kept)
        self.tail = kept[0].position if kept else self.end + 1
        self.compactions += 1

    def last(self, limit: int) -> list[Said]:
        """The last of the recent ones, of so many bytes at most: a call of tools and its results stay together."""
        recent, size, at = self.shown.recent, 0, len(self.shown.recent)
        for number in range(len(recent) - 1, -1, -1):
            size += recent[number].size
            if size > limit:
                break
            if recent[number].data["role"] != "tool":
                at = number
        return recent[at:]

    def repeat(self, call: str) -> None:
        """Note that a call, by its hash, was made; of the latest calls it is known how often."""
        count = self.repeated.pop(call, 0) + 1
        self.repeated[call] = count
        while len(self.repeated) > REPEATED:
            oldest = next(iter(self.repeated))
            del self.repeated[oldest]
            self.agreed.pop(oldest, None)

    def told_of(self, step: int, state: str, note: str) -> bool:
        """Note what the model says of a step of the plan; whether that is progress: never said before."""
        work = self.work.setdefault(str(step), Work())
        is_news = state not in work.told
        work.state, work.note, self.step = state, note or work.note, step
        work.told = [*work.told, state] if is_news else work.told
        return is_news

    def worked(self) -> Work:
        """The work on the step that is under way."""
        return self.work.setdefault(str(self.step), Work())

    def count(self, usage: Any) -> int:
        """Note what an answer cost; its tokens."""
        given = cast(dict[str, Any], usage) if isinstance(usage, dict) else dict[str, Any]()
        tokens = [_number(given.get(name)) for name in ("prompt_tokens", "completion_tokens")]
        for name, number in zip(("calls", "input", "output"), (1, *tokens), strict=True):
            self.usage[name] = self.usage.get(name, 0) + number
        self.worked().tokens += sum(tokens)
        self.still_tokens += sum(tokens)
        return sum(tokens)


async def _read(transcript: Transcript, first: int, last: int) -> list[Said]:
    """The messages from one position to another, both included."""
    found: list[Said] = []
    while first + len(found) <= last:
        after = first + len(found) - 1
        more = await transcript.read(after=after, limit=min(MAX_READ, last - after), max_bytes=MAX_READ_BYTES)
        if not more:
            raise AgentRefused(
                f"The transcript ends at {after}, and the checkpoint knows of {last}.",
                remedy="Restore both from one backup, or edit the prompt to begin anew.",
            )
        found += [Said(each.position, each.data, size_of(each.data)) for each in more]
    return found


async def spoken(transcript: Transcript, most: int) -> list[Said]:
    """The end of the conversations before, of so many bytes at most; results of tools come with their calls."""
    newest = await transcript.read(newest=True, limit=MAX_READ, max_bytes=most)
    found = [Said(each.position, each.data, size_of(each.data)) for each in newest]
    while found and found[0].data.get("role") not in ("user", "assistant"):
        del found[0]
    return found


def _as_past(found: Sequence[Said]) -> list[JSON]:
    """The same as the model is shown it: ids of calls are none that another conversation has."""
    shown, at = list[JSON](), 0
    for each in found:
        data = dict(each.data)
        if data.get("role") not in ("user", "assistant", "tool"):
            continue
        if data["role"] == "assistant":
            at = each.position
        if "tool_calls" in data:
            data["tool_calls"] = [{**call, "id": f"p{at}-{call['id']}"} for call in data["tool_calls"]]
        if "tool_call_id" in data:
            data["tool_call_id"] = f"p{at}-{data['tool_call_id']}"
        shown.append(data)
    return shown


def size_of(message: JSON) -> int:
    """Its bytes, about."""
    return len(json.dumps(message, ensure_ascii=False).encode(errors="replace"))


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else 0
