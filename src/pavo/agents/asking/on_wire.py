"""Questions between a worker and an agent's process."""

from dataclasses import replace
from typing import Any, cast, get_args

from pavo.agents.asking.checked import checked_question
from pavo.agents.asking.question import Answered, Question, QuestionKind
from pavo.errors import AgentRefused


def dump_question(question: Question) -> list[Any]:
    schema = dict(question.schema) if question.schema is not None else None
    asked = [question.key, question.text, list(question.choices), schema, question.expires_seconds]
    return [asked, question.default, question.has_default, question.kind]


def load_question(data: object) -> Question:
    if not isinstance(data, list):
        raise TypeError("no question")
    given, default, has_default, kind = data  # pyright: ignore[reportUnknownVariableType]
    key, text, choices, schema, expires = given  # pyright: ignore[reportUnknownVariableType]
    if kind not in get_args(QuestionKind):
        raise ValueError("no kind of question")
    asked = (key, text, choices, schema, expires)  # pyright: ignore[reportUnknownVariableType]
    try:
        question = checked_question(asked, default, has_default=bool(has_default))  # pyright: ignore[reportUnknownArgumentType]
    except AgentRefused as error:  # the host in the agent's process has checked it: this comes past that
        raise ValueError(error.detail) from error
    return replace(question, kind=cast(QuestionKind, kind))


def dump_answered(found: Answered | None) -> list[Any] | None:
    return None if found is None else [found.value, found.expired]


def load_answered(data: list[Any] | None) -> Answered | None:
    return None if data is None else Answered(*data)
