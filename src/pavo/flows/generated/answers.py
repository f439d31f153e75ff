"""What a model's answer holds: a flow and its cases, or words that it cannot be done. Any answer is one of these."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from pavo.kit.texts.storable import storable

MAX_ANSWER: Final = 400_000
"""Characters of an answer that are looked at; what is asked for is bounded far below."""
MAX_WORDS: Final = 2_000
"""Characters of a refusal that are shown."""
REFUSE: Final = "REFUSE:"
_FENCE: Final = "```"
_FLOW: Final = ("flow", "yaml", "yml", "json", "")
"""What may stand behind the fence of a flow."""
_BEGINS: Final = re.compile(r"\s*(\{\s*)?[\"']?(?P<member>[$a-z_]{1,20})[\"']?\s*:")
_FLOW_MEMBERS: Final = frozenset(("flow", "$schema", "description", "inputs", "steps"))
_CUT: Final = frozenset(("length", "max_tokens", "model_length"))
_EMPTY: Final = "the answer is empty"


@dataclass(frozen=True, slots=True)
class Proposed:
    """A flow, as the model wrote it."""

    flow: str
    cases: str | None = None
    """Its cases, as `flows.cases` reads them."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The model says that flows cannot do it."""

    words: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It is neither."""

    why: str


Answer: TypeAlias = Proposed | Refused | Unreadable


def answer_of(completion: Mapping[str, Any]) -> tuple[Answer, str]:
    """What a chat completion holds, and its text as it is shown to the model again."""
    text, was_cut = _text_of(completion)
    found = answer_in(text)
    if was_cut and not isinstance(found, Refused):
        return Unreadable("the answer was cut, for it is too long: write a shorter flow"), text
    return found, text


def answer_in(text: str) -> Answer:
    """What a text holds."""
    said = _without_thoughts(text[:MAX_ANSWER])
    if not said:
        return Unreadable(_EMPTY)
    prose, blocks = _blocks(said.splitlines())
    refusal = next((line.partition(REFUSE)[2] for line in prose if line.lstrip(" *#>").startswith(REFUSE)), None)
    if refusal is not None:
        following = said.partition(REFUSE)[2].strip(" *\n")
        return Refused(_words(following)) if following else Unreadable("it refuses and does not say why")
    flow = next((body for info, body in reversed(blocks) if info in _FLOW and _is_flow(body)), None)
    if flow is None and not blocks and _is_flow(said):
        flow = said
    if flow is None:
        return Unreadable(f"there is no flow in it: write it between {_FENCE}flow and {_FENCE}")
    cases = next((body for info, body in reversed(blocks) if info == "cases" or _begins(body) == "cases"), None)
    return Proposed(flow, cases)


def _text_of(completion: Mapping[str, Any]) -> tuple[str, bool]:
    """The text of a chat completion, and whether it was cut; a server may send whatever it likes."""
    choices = completion.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        return "", False
    first = cast("Sequence[object]", choices)[0]
    choice = _members(first)
    content = _members(choice.get("message")).get("content")
    text = storable(content, MAX_ANSWER) if isinstance(content, str) else ""
    reason = choice.get("finish_reason")
    return text, isinstance(reason, str) and reason in _CUT


def _members(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _without_thoughts(text: str) -> str:
    """Some servers hand over what a model thought before its answer."""
    return text.rpartition("</think>")[2].strip()


def _blocks(lines: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Lines outside of fences, and what stands between fences, each with the word behind its fence."""
    prose, blocks = list[str](), list[tuple[str, str]]()
    info: str | None = None
    body = list[str]()
    for line in lines:
        if not line.lstrip().startswith(_FENCE):
            (prose if info is None else body).append(line)
        elif info is None:
            info, body = line.strip().strip("`").strip().lower(), []
        else:
            blocks.append((info, "\n".join(body) + "\n"))
            info = None
    if info is not None:  # the last one was not closed
        blocks.append((info, "\n".join(body) + "\n"))
    return prose, blocks


def _begins(text: str) -> str | None:
    """The first member of what may be YAML or JSON."""
    line = next((each for each in text.splitlines() if each.strip(" {") and not each.lstrip().startswith("#")), "")
    found = _BEGINS.match(line)
    return found["member"] if found else None


def _is_flow(text: str) -> bool:
    return _begins(text) in _FLOW_MEMBERS


def _words(text: str) -> str:
    return text if len(text) <= MAX_WORDS else f"{text[: MAX_WORDS - 1]}…"
