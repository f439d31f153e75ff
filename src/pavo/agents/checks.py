"""What an agent hands to Pavo, checked before anything is recorded; a breach of its contract is refused with a remedy.

The limits and reserved words are in `contract.py`. Trying again would help against none of these: hence AgentRefused.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NoReturn, TypeGuard, cast

from pavo.agents.contract import (
    JSON,
    MAX_CHECKPOINT_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_EVENT_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PROGRESS,
    MAX_STEP_EVENT_BYTES,
    MAX_STEP_EVENTS,
    MAX_STEP_MESSAGE_BYTES,
    MAX_STEP_MESSAGES,
    PAVO_EVENT_TYPES,
    RESERVED_EVENT_KEYS,
    Event,
    FeedbackItem,
    PlanDraft,
    PlanStep,
    Revision,
    Step,
)
from pavo.agents.event_types import MODEL_TEXT
from pavo.errors import AgentRefused
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.texts.storable import storable as storable

EVENT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}", re.ASCII)
"""How the type of an agent's own event is spelled: it becomes a column and a filter."""


def checked_json(value: JSON, what: str) -> tuple[JSON, int]:
    """The value as it comes back from PostgreSQL (tuples as lists, subclasses as what they derive from), and its bytes.

    Raises:
        AgentRefused: it is no JSON, nested too deeply, or PostgreSQL's jsonb cannot store it.
    """
    try:
        return plain(value)
    except NotStorable as error:
        _refuse(f"{what} cannot be recorded: {error}.", error.remedy, error)


def checked_plan(draft: object, what: str = "plan()") -> PlanDraft:
    """The plan with its steps in a tuple."""
    if not isinstance(draft, PlanDraft):
        _wrong_type(what, "a PlanDraft", draft)
    _check_text(draft.summary, "The plan's summary")
    given: object = draft.steps
    if not _is_list(given):
        _wrong_type("PlanDraft.steps", "a sequence of PlanStep", given, verb="is")
    if not given:
        _refuse("The plan has no steps.", "Propose at least one PlanStep, so that people have something to review.")
    summary = _exact(draft.summary)
    return PlanDraft(summary, _checked_plan_steps(given, len(summary.encode())))


def _checked_plan_steps(given: Sequence[object], size: int) -> tuple[PlanStep, ...]:
    """Stops where the plan is too large: a sequence of the agent's own may have no end."""
    steps: list[PlanStep] = []
    for number, each in enumerate(given, 1):
        step = _checked_plan_step(each, number)
        size += len(step.title.encode()) + len(step.detail.encode())
        _check_size(size, MAX_DOCUMENT_BYTES, "The plan", "Shorten it: people are to read it.")
        steps.append(step)
    return tuple(steps)


def _checked_plan_step(step: object, number: int) -> PlanStep:
    if not isinstance(step, PlanStep):
        _wrong_type(f"Step {number} of the plan", "a PlanStep", step, verb="is")
    _check_text(step.title, f"The title of step {number} of the plan")
    _check_text(step.detail, f"The detail of step {number} of the plan")
    if not step.title.strip():
        _refuse(f"Step {number} of the plan has no title.", "Give each PlanStep a title.")
    return PlanStep(_exact(step.title), _exact(step.detail))


def checked_revision(revision: object, feedback: Sequence[FeedbackItem]) -> Revision:
    """The revision: a sound plan, and exactly one answer for each feedback item."""
    if not isinstance(revision, Revision):
        _wrong_type("revise()", "a Revision", revision)
    plan = checked_plan(revision.plan, "Revision.plan")
    answers = revision.answers
    if not _is_mapping(answers):
        _wrong_type("Revision.answers", "a mapping from feedback id to text", answers, verb="is")
    known = {item.id for item in feedback}
    if missing := known - answers.keys():
        _refuse(f"revise() left feedback unanswered: {_listed(missing)}.", "Revision.answers needs each feedback id.")
    if unknown := answers.keys() - known:
        _refuse(f"revise() answered what nobody asked: {_listed(unknown)}.", "Use the ids of the feedback items given.")
    for identifier, answer in answers.items():
        _check_text(answer, f"The answer to feedback {identifier}")
    size = sum(len(answer.encode()) for answer in answers.values())
    _check_size(size, MAX_DOCUMENT_BYTES, "The answers to the feedback", "Shorten them.")
    return Revision(plan, {_exact(identifier): _exact(answer) for identifier, answer in answers.items()})


def checked_step(step: object, plan_steps: int | None = None) -> Step:
    """The step as it will be recorded, its events in a tuple.

    Args:
        plan_steps: how many steps the plan has; None where it is not known, then any number may be named.
    """
    if not isinstance(step, Step):
        _wrong_type("execute()", "a Step", step, verb="yielded")
    checkpoint, size = checked_json(step.checkpoint, "The checkpoint")
    _check_size(size, MAX_CHECKPOINT_BYTES, "The checkpoint", "Keep large data elsewhere and its place here.")
    for name, number in (("progress", step.progress), ("total", step.total)):
        _check_number(number, name)
    _check_plan_step(step.plan_step, MAX_PROGRESS if plan_steps is None else plan_steps)
    if type(step) is Step and checkpoint is step.checkpoint and step.events == () and step.messages == ():
        return step
    events, messages = _checked_events(step.events), _checked_messages(step.messages)
    return Step(checkpoint, events, step.progress, step.total, step.plan_step, messages)


def _check_number(number: object, name: str) -> None:
    if number is None or (type(number) is int and 0 <= number <= MAX_PROGRESS):
        return
    _refuse(f"Step.{name} is {number!r}.", f"It is a whole number from 0 to {MAX_PROGRESS}, or None.")


def _check_plan_step(number: object, last: int) -> None:
    if number is None or (type(number) is int and 1 <= number <= last):
        return
    _refuse(f"Step.plan_step is {number!r}.", f"It is the number of a step of the plan, from 1 to {last}, or None.")


def _checked_events(events: object) -> tuple[Event, ...]:
    if not _is_list(events):
        _wrong_type("Step.events", "a sequence of Event", events, verb="is")
    if len(events) > MAX_STEP_EVENTS:
        _refuse(f"The step has {len(events)} events.", f"One step takes {MAX_STEP_EVENTS}: yield more often.")
    total = 0
    checked: list[Event] = []
    for event in islice(events, MAX_STEP_EVENTS):  # one of the agent's own may hold more than it says
        event, size = _checked_event(event)
        checked.append(event)
        total += size
        _check_size(total, MAX_STEP_EVENT_BYTES, "All events of the step together", "Yield more often, or write less.")
    return tuple(checked)


def _checked_messages(messages: object) -> tuple[Mapping[str, JSON], ...]:
    if not _is_list(messages):
        _wrong_type("Step.messages", "a sequence of JSON objects", messages, verb="is")
    if len(messages) > MAX_STEP_MESSAGES:
        _refuse(f"The step has {len(messages)} messages.", f"One step takes {MAX_STEP_MESSAGES}: yield more often.")
    total = 0
    checked: list[Mapping[str, JSON]] = []
    for number, message in enumerate(islice(messages, MAX_STEP_MESSAGES), 1):
        what = f"Message {number} of Step.messages"
        if not _is_mapping(message):
            _wrong_type(what, "a JSON object", message, verb="is")
        data, size = checked_json(dict(cast(Mapping[str, JSON], message)), what)
        _check_size(size, MAX_MESSAGE_BYTES, what, "Keep what is large elsewhere, and an excerpt with its place here.")
        total += size
        _check_size(total, MAX_STEP_MESSAGE_BYTES, "All messages of the step together", "Yield more often.")
        checked.append(data)
    return tuple(checked)


def checked_delta(kind: object, data: object) -> Event:
    """What the agent emits, as an event that is never recorded."""
    event = _checked_event(Event(cast(str, kind), cast(Mapping[str, JSON], data)))[0]
    if event.type.partition(":")[0] == MODEL_TEXT:
        _refuse(f"The type {event.type!r} is Pavo's own.", f"Choose another name, for example 'my_{event.type}'.")
    return event


def _checked_event(event: object) -> tuple[Event, int]:
    if not isinstance(event, Event):
        _wrong_type("An item of Step.events", "an Event", event, verb="is")
    given = cast(object, event.type)
    if not isinstance(given, str) or not EVENT_TYPE.fullmatch(given):
        _refuse(f"{str(given)[:100]!r} is no event type.", "Use a letter, then up to 63 letters, digits, and _ . : -")
    kind = _exact(given)
    if kind in PAVO_EVENT_TYPES:
        _refuse(f"The event type {kind!r} is Pavo's own.", f"Choose another name, for example 'my_{kind}'.")
    if not _is_mapping(event.data):
        _wrong_type(f"The data of the event {kind!r}", "a mapping", event.data, verb="is")
    data, size = checked_json(dict(event.data), f"The data of the event {kind!r}")
    if taken := RESERVED_EVENT_KEYS & data.keys():
        _refuse(f"The event {kind!r} has data called {_listed(taken)}.", "Pavo sets these members: rename yours.")
    _check_size(size, MAX_EVENT_BYTES, f"The event {kind!r}", "Put what is large into the report.")
    return Event(kind, data), size


def checked_report(report: object) -> str:
    """The report's Markdown."""
    if not isinstance(report, str):
        _wrong_type("report()", "a str", report)
    _check_text(report, "The report")
    _check_size(len(report.encode()), MAX_DOCUMENT_BYTES, "The report", "Shorten it: people are to read it.")
    return _exact(report)


def _check_text(text: object, what: str) -> None:
    if not isinstance(text, str):
        _wrong_type(what, "a str", text, verb="is")
    _check_nul(text, what)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        _refuse_surrogate(what, error)


def _exact(text: str) -> str:
    """Text without the class that it came in: a StrEnum, say, would be stored by its name, and methods are code."""
    return str.__str__(text)


def _check_nul(text: str, what: str) -> None:
    if "\0" in text:
        _refuse(f"{what} holds a NUL character, which PostgreSQL cannot store.", "Remove it: text.replace('\\0', '').")


def _check_size(size: int, limit: int, what: str, remedy: str) -> None:
    if size > limit:
        _refuse(f"{what} has {size:,} bytes, more than {limit:,}.", remedy)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _listed(names: Any) -> str:
    return ", ".join(sorted(str(name)[:100] for name in list(names)[:10]))


def _wrong_type(what: str, expected: str, got: object, verb: str = "returned") -> NoReturn:
    _refuse(f"{what} {verb} {type(got).__name__}, not {expected}.", f"It must be {expected} of pavo.agents.contract.")


def _refuse_surrogate(what: str, error: UnicodeEncodeError) -> NoReturn:
    _refuse(f"{what} holds a lone surrogate, which is no Unicode text.", "Decode bytes with errors='replace'.", error)


def _refuse(detail: str, remedy: str, cause: BaseException | None = None) -> NoReturn:
    raise AgentRefused(storable(f"{detail} {remedy}"), remedy=remedy) from cause
