"""The events that tasks write to their timelines. Each is made here, of the members that `wire.event_data` has.

Events of an agent's own enter by `of_agent`, and nowhere else.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from pavo.accounts.domain import name_of
from pavo.agents.contract import JSON, RESERVED_EVENT_KEYS
from pavo.agents.delegating.delegation import DelegatedStage
from pavo.agents.event_types import PAVO_EVENT_TYPES, STAGE
from pavo.artifacts.domain import Artifact
from pavo.errors import AgentRefused
from pavo.gates.domain import ANSWERED, Gate
from pavo.kit.clock import iso
from pavo.kit.json_values import encode_text
from pavo.tasks.domain import EXECUTING, INIT, PLANNING, RESUMABLE, WAIT_RFC, Receipt, status_of
from pavo.tasks.wire import event_data as data
from pavo.timeline.deltas import NO_STEP
from pavo.timeline.domain import NewEvent
from pavo.tools.contract import CallState, Effect

MAX_CAUSE_TOLD: Final = 1_000
"""Characters of why a delegated task is not done; its own page has all."""
MAX_OPTIONS_TOLD: Final = 50
MAX_OPTION_TOLD: Final = 300
"""Options of an event `edited`, and characters of each: it is copied to every viewer."""


def stage(name: str, progress: int = 0) -> NewEvent:
    """The task entered a stage; EXECUTING goes on at this progress."""
    return _of_pavo(data.StageEvent(type="stage", stage=name, status=status_of(name, progress)))


def context(titles: list[str]) -> NewEvent:
    """What was found in the corpus before planning."""
    return _of_pavo(data.ContextEvent(type="context", n=len(titles), titles=titles))


def plan(document_id: uuid.UUID, version: int, plan_hash: str) -> NewEvent:
    """A version of the plan is open for review."""
    return _of_pavo(data.PlanEvent(type="plan", doc_id=str(document_id), version=version, hash=plan_hash))


def feedback(
    document_id: uuid.UUID, feedback_id: uuid.UUID, *, edited: bool = False, withdrawn: bool = False
) -> NewEvent:
    """Somebody commented on the plan, changed a comment, or took it back."""
    event = data.FeedbackEvent(type="feedback", doc_id=str(document_id), feedback_id=str(feedback_id))
    if edited:
        event["edited"] = True
    if withdrawn:
        event["withdrawn"] = True
    return _of_pavo(event)


def accepted(
    document_id: uuid.UUID, plan_hash: str, by: str, *, user_id: uuid.UUID | None = None, overridden: int = 0
) -> NewEvent:
    """The plan with this hash is the one to execute.

    Args:
        by: the user's address, or the policy's name.
        overridden: how many comments no revision had answered.
    """
    event = data.AcceptedEvent(type="accepted", doc_id=str(document_id), hash=plan_hash, by=by)
    if user_id is not None:
        event["by_user"] = {"id": str(user_id), "email": by, "name": name_of(by)}
    if overridden:
        event["overridden"] = overridden
    return _of_pavo(event)


def tick(progress: int, step: int, total: int | None, plan_step: int | None = None) -> NewEvent:
    """One checkpoint is recorded, maybe of work on this step of the plan."""
    event = data.TickEvent(type="tick", progress=progress, step=step)
    if total is not None:
        event["total"] = total
    if plan_step is not None:
        event["plan_step"] = plan_step
    return _of_pavo(event)


def progress(steps: int) -> NewEvent:
    """So many steps are recorded: told now and then, and when an attempt ends."""
    return _of_pavo(data.ProgressEvent(type="progress", steps=steps))


def recovered(step: int, cause: str) -> NewEvent:
    """The run goes on after this recorded step after a process died."""
    return _of_pavo(data.RecoveredEvent(type="recovered", step=step, cause=cause))


def code_changed(step: int, before: str, now: str) -> NewEvent:
    """The attempt that goes on after this recorded step runs other code than the attempt before it."""
    return _of_pavo(data.CodeChangedEvent(type="code_changed", step=step, before=before, now=now))


def retry(step: int, error: str, attempt: int, at: datetime) -> NewEvent:
    """The agent failed at this step and will be tried again, not before this moment."""
    event = data.RetryEvent(type="retry", step=step, error=error, attempt=attempt, next_retry_at=iso(at))
    return _of_pavo(event)


def waiting(what: str) -> NewEvent:
    """No agent works on the task until this comes."""
    return _of_pavo({"type": "waiting", "for": what})


def no_progress(step: int, beginnings: int, cause: str) -> NewEvent:
    """The agent began so often again with the checkpoint that it has after this step."""
    return _of_pavo(data.NoProgressEvent(type="no_progress", step=step, beginnings=beginnings, cause=cause))


def gate_opened(gate: Gate) -> NewEvent:
    """People are asked something, and the task waits for the answer."""
    event = data.GateOpenedEvent(
        type="gate_opened", gate_id=str(gate.id), kind=gate.kind, key=gate.key, text=gate.text, hash=gate.hash
    )
    if gate.choices:
        event["choices"] = list(gate.choices)
    if gate.expires_at is not None:
        event["expires_at"] = iso(gate.expires_at)
    return _of_pavo(event)


def gate_closed(gate: Gate) -> NewEvent:
    """Somebody answered, or a policy did; or nobody was in time."""
    event = data.GateClosedEvent(type="gate_closed", gate_id=str(gate.id), key=gate.key, state=gate.state)
    if gate.state == ANSWERED and gate.answered_by is not None:
        by = gate.answered_by
        event["answer"], event["by"] = gate.answer, by
        if gate.answered_by_id is not None:
            event["by_user"] = {"id": str(gate.answered_by_id), "email": by, "name": name_of(by)}
    if gate.note:
        event["note"] = gate.note
    return _of_pavo(event)


def tool_called(call_id: uuid.UUID, tool: str, effect: Effect, arguments: str) -> NewEvent:
    """A call of a tool begins, perhaps not for the first time."""
    event = data.ToolCalledEvent(
        type="tool_called", call_id=str(call_id), tool=tool, effect=effect, arguments=arguments
    )
    return _of_pavo(event)


def tool_done(call_id: uuid.UUID, tool: str, state: CallState, excerpt: str) -> NewEvent:
    """A call of a tool has ended: done, failed or unknown; or it was denied, and never began."""
    event = data.ToolDoneEvent(type="tool_done", call_id=str(call_id), tool=tool, state=state, excerpt=excerpt)
    return _of_pavo(event)


def artifact_added(artifact: Artifact) -> NewEvent:
    """The task keeps a file."""
    event = data.ArtifactAddedEvent(
        type="artifact_added",
        artifact_id=str(artifact.id),
        name=artifact.name,
        media_type=artifact.media_type,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
    )
    return _of_pavo(event)


def child_created(task_id: uuid.UUID, agent: str, title: str, key: str | None = None) -> NewEvent:
    """The agent delegates a task."""
    event = data.ChildCreatedEvent(type="child_created", task_id=str(task_id), agent=agent, title=title)
    if key is not None:
        event["key"] = key
    return _of_pavo(event)


def child_over(task_id: uuid.UUID, stage: DelegatedStage, cause: str = "") -> NewEvent:
    """The agent was told what became of a task that it delegated."""
    event = data.ChildOverEvent(type="child_over", task_id=str(task_id), stage=stage)
    if cause:
        event["cause"] = cause[:MAX_CAUSE_TOLD]
    return _of_pavo(event)


def stopped(receipt: Receipt) -> NewEvent:
    """The task is stopped; the receipt tells where."""
    told = data.EventReceipt(
        stage=receipt.stage, last_step=receipt.last_step, step_cut=receipt.step_cut, resume=receipt.resume
    )
    return _of_pavo(data.StoppedEvent(type="stopped", receipt=told))


def report(document_id: uuid.UUID) -> NewEvent:
    """The report is there."""
    return _of_pavo(data.ReportEvent(type="report", doc_id=str(document_id)))


def failed(error: data.EventFailure) -> NewEvent:
    """The task failed; cause and remedy."""
    return _of_pavo(data.FailedEvent(type="failed", error=error))


def message(message_id: uuid.UUID, by: str, body: str, placed: str) -> NewEvent:
    """Somebody said something to the task: it was put into the prompt, or waits for the agent to read it."""
    event = data.MessageEvent(type="message", message_id=str(message_id), by=by, body=body, placed=placed)
    return _of_pavo(event)


def edited(changed: Sequence[str], options: Mapping[str, JSON], by: str, *, superseded: int | None) -> NewEvent:
    """Somebody changed the task's input.

    Args:
        options: the agent's options that changed, with their new values; what is long is left out.
        superseded: the version of the plan that does not hold any more; None where the plan stays.
    """
    event = data.EditedEvent(type="edited", changed=list(changed), by=by, replanned=superseded is not None)
    if options:
        event["options"] = {name: _brief(value) for name, value in list(options.items())[:MAX_OPTIONS_TOLD]}
    if superseded is not None:
        event["superseded"] = superseded
    return _of_pavo(event)


def _brief(value: JSON) -> JSON:
    return value if len(encode_text(value)) <= MAX_OPTION_TOLD else "…"


def deleted() -> NewEvent:
    """The task is gone; nothing follows."""
    return _of_pavo(data.DeletedEvent(type="deleted"))


def rests(event: bytes) -> bool | None:
    """Whether the task rests from this event on, given as its JSON; None where the event tells of no stage."""
    if b'"stage"' not in event:
        return None
    told: dict[str, Any] = orjson.loads(event)
    return told["stage"] in RESUMABLE if told["type"] == STAGE else None


_TELLS_OF_STEPS: Final = re.compile(rb'\{"seq":\d+,"type":"(?:tick|plan|report|edited|stage)"')
_SETTLED_IN: Final = {INIT: -1, PLANNING: -1, WAIT_RFC: 0, EXECUTING: 0}


def settled_in(stage_name: str) -> int:
    """Up to which step deltas mean nothing when the task enters this stage; 0 is planning."""
    return _SETTLED_IN.get(stage_name, NO_STEP)


def settles(event: bytes) -> int | None:
    """Up to which step deltas mean nothing from this event on, given as its JSON; None where it does not tell."""
    if not _TELLS_OF_STEPS.match(event):
        return None
    told: dict[str, Any] = orjson.loads(event)
    match told["type"]:
        case "tick":
            return told["step"]
        case "plan":
            return 0
        case "stage":
            return settled_in(told["stage"])
        case "edited":
            return -1
        case _:
            return NO_STEP - 1  # the report is the last thing that is said


def _of_pavo(event: data.PavoEvent) -> NewEvent:
    return NewEvent(event["type"], {name: value for name, value in event.items() if name != "type"})


def of_agent(name: str, members: Mapping[str, JSON]) -> NewEvent:
    """An event of the agent's own.

    Raises:
        AgentRefused: its type, or a member of its data, is one that Pavo sets. The agent's host refuses that before;
            this is for an isolated agent that speaks to its worker past the host.
    """
    if name in PAVO_EVENT_TYPES:
        raise AgentRefused(
            f"The event type {name!r} is Pavo's own.", remedy=f"Choose another name, for example 'my_{name}'."
        )
    if taken := RESERVED_EVENT_KEYS & members.keys():
        raise AgentRefused(
            f"The event {name!r} has data called {', '.join(sorted(taken))}.",
            remedy="Pavo sets these members: rename yours.",
        )
    return NewEvent(name, members)
