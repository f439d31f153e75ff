"""An answer without calls: the result, or none: empty, cut at its length, or a refusal."""

from collections.abc import Mapping
from typing import Any, Final

from pavo.agents.llm_agent.asking import message_of, text_of
from pavo.agents.llm_agent.conversation import Conversation
from pavo.agents.llm_agent.wording import fitting
from pavo.errors import AgentRefused

RESULT_BYTES: Final = 700_000
"""Of the model's last word: it stands in the last checkpoint, and in the report."""
EMPTY: Final = 3
"""So often in a row a model is told that its answer is empty."""
CUT: Final = 10
"""So often in a row it goes on with an answer that was cut."""
ANOTHER: Final = "Have another model do it (the option model), or change the prompt; then resume the task."

_CUT: Final = frozenset(("length", "max_tokens", "model_length"))
_FILTERED: Final = frozenset(("content_filter", "refusal", "safety"))


def heard(found: Conversation, answer: Mapping[str, Any]) -> None:
    """Take an answer that calls nothing as the result; or tell the model to go on, which `check` bounds."""
    reason, text = _reason(answer), text_of(answer)
    if reason in _FILTERED or message_of(answer).get("refusal"):
        found.shown.wrong = f"The model refuses to go on: {(_refusal(answer) or text or reason)[:1_000]}"
        found.add({"role": "user", "content": "People have you go on with the task, where you can."})
    elif reason in _CUT and text.strip():
        found.half = fitting(found.half + text, RESULT_BYTES)
        found.add({"role": "user", "content": "That was cut. Go on exactly where it ended, and repeat nothing."})
        _once_more(found, CUT, "The model's answer was cut at its greatest length")
    elif not text.strip():
        told = "That was empty. Go on with the task; when all is done, answer with the result, in text."
        found.add({"role": "user", "content": told})
        _once_more(found, EMPTY, "The model's answer was empty")
    else:
        found.result, found.half, found.fruitless = fitting(found.half + text, RESULT_BYTES), "", 0


def check(found: Conversation) -> None:
    """Once what came is recorded: who resumes goes on after it.

    Raises:
        AgentRefused: there is no result to be had from this model.
    """
    if found.shown.wrong:
        raise AgentRefused(found.shown.wrong, remedy=ANOTHER)


def _once_more(found: Conversation, most: int, what: str) -> None:
    found.fruitless += 1
    if found.fruitless > most:
        found.shown.wrong, found.fruitless = f"{what}, {found.fruitless} times in a row.", 0


def _reason(answer: Mapping[str, Any]) -> str:
    return str(answer["choices"][0].get("finish_reason") or "").lower()


def _refusal(answer: Mapping[str, Any]) -> str:
    said = message_of(answer).get("refusal")
    return said if isinstance(said, str) else ""
