"""The events that jobs write to their timelines. Each is made here, of the members that `event_data` has."""

import uuid
from collections.abc import Sequence
from typing import Any

from pavo.artifacts.domain import Artifact
from pavo.jobs import event_data as data
from pavo.timeline.domain import NewEvent

MAX_TOLD = 1_000
"""Characters of a cause, a remedy or a note: an event is copied to every viewer; the job's row has all."""
MAX_BODY_TOLD = 4_000
MAX_NAMES_TOLD = 50


def queued(kind: str, priority: int, by: str | None = None) -> NewEvent:
    """The job waits in its queue.

    Args:
        by: the address of whoever asked for it; None: an attempt was lost.
    """
    told: dict[str, Any] = {"kind": kind, "priority": priority}
    return NewEvent("queued", told | ({"by": by} if by is not None else {}))


def stage(name: str) -> NewEvent:
    """The job entered a stage."""
    return NewEvent("stage", {"stage": name})


def claimed(epoch: int, agent_id: uuid.UUID, agent: str) -> NewEvent:
    """An agent was given the job."""
    return NewEvent("claimed", {"epoch": epoch, "agent_id": str(agent_id), "agent": agent})


def plan(epoch: int, gate_id: uuid.UUID, content_hash: str, version: int) -> NewEvent:
    """The agent's plan is open for review."""
    return NewEvent("plan", {"epoch": epoch, "gate_id": str(gate_id), "hash": content_hash, "version": version})


def plan_answered(gate_id: uuid.UUID, by: str, note: str, *, accepted: bool) -> NewEvent:
    """Somebody answered the plan."""
    told = {"gate_id": str(gate_id), "accepted": accepted, "by": by}
    return NewEvent("plan_answered", told | ({"note": note[:MAX_TOLD]} if note else {}))


def verified(round_: int, failed: Sequence[str]) -> NewEvent:
    """The repository's checks ran; which of them failed."""
    names = [name[:MAX_TOLD] for name in failed[:MAX_NAMES_TOLD]]
    return NewEvent("verified", {"round": round_, "passed": not failed, "failed": names})


def pull_request(url: str, number: int, state: str, *, updated: bool = False) -> NewEvent:
    """A pull request was opened, updated, merged or closed."""
    told = {"url": url, "number": number, "state": state}
    return NewEvent("pull_request", told | ({"updated": True} if updated else {}))


def attempt_ended(epoch: int, how: str, error: data.JobError | None, *, owes_cleanup: bool) -> NewEvent:
    """An attempt is over."""
    told: dict[str, Any] = {"epoch": epoch, "how": how}
    if error is not None:
        told["error"] = {name: str(value)[:MAX_TOLD] for name, value in error.items()}
    if owes_cleanup:
        told["owes_cleanup"] = True
    return NewEvent("attempt_ended", told)


def cancel_asked(by: str) -> NewEvent:
    """Somebody cancelled the job."""
    return NewEvent("cancel_asked", {"by": by})


def message(body: str, by: str) -> NewEvent:
    """A review that the job is to answer."""
    return NewEvent("message", {"body": body[:MAX_BODY_TOLD], "by": by})


def note(text: str, remedy: str) -> NewEvent:
    """Something that people are to know, and that changes nothing."""
    return NewEvent("note", {"text": text[:MAX_TOLD], "remedy": remedy[:MAX_TOLD]})


def adopted(epoch: int, by: str) -> NewEvent:
    """What a lost attempt has done counts as the job's."""
    return NewEvent("adopted", {"epoch": epoch, "by": by})


def deleted() -> NewEvent:
    """The job is gone; nothing follows."""
    return NewEvent("deleted")


def late_work(
    epoch: int, state: str, *, finished: bool, branch: str = "", commit: str = "", reason: str = "", by: str = ""
) -> NewEvent:
    """What has become of the changes that a lost attempt left at its agent."""
    told: dict[str, Any] = {"epoch": epoch, "state": state, "finished": finished}
    more = {"branch": branch, "commit": commit, "reason": reason[:MAX_TOLD], "by": by}
    return NewEvent("late_work", told | {name: value for name, value in more.items() if value})


def artifact_added(epoch: int, artifact: Artifact) -> NewEvent:
    """The job keeps a file of an attempt."""
    told: dict[str, Any] = {"epoch": epoch, "artifact_id": str(artifact.id), "name": artifact.name}
    told |= {"media_type": artifact.media_type, "bytes": artifact.bytes, "sha256": artifact.sha256}
    return NewEvent("artifact_added", told)


def moved(priority: int, by: str | None) -> NewEvent:
    """Somebody gave the job another place in its queue."""
    return NewEvent("moved", {"priority": priority} | ({"by": by} if by else {}))
