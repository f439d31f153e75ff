"""What agents answered to commands, as their workflow and the next command need it: read from `job_commands`."""

import uuid
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.contracts import CREATE_PULL_REQUEST, RUN_VERIFICATION, START_EXECUTION
from pavo.jobs.event_data import JobError
from pavo.jobs.sql.models import JobCommandRow
from pavo.protocol.fleet_pb2 import Command, Executed, Result, Verified
from pavo.protocol.texts import make_storable

_MAX_URL: Final = 2_000
_MAX_NUMBER: Final = 2**31 - 1
TAIL_TOLD: Final = 4_000
"""Characters of each failed check's output that the agent is shown again."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where an attempt's work went."""

    url: str
    """Of the pull request; empty where there is no forge."""
    number: int
    commit: str
    branch: str
    updated: bool


def parsed(stored: bytes | None) -> Result | None:
    """A result as it is stored; None where there is none, or it cannot be read."""
    if stored is None:
        return None
    try:
        found = Result.FromString(stored)
    except DecodeError:
        return None
    make_storable(found)  # a gateway of an older build kept it as it came
    return found


def told(stored: bytes | None) -> dict[str, Any] | None:
    """A result as people read it: the outcome's name and its members, in JSON's values."""
    found = parsed(stored)
    return None if found is None else MessageToDict(found, preserving_proto_field_name=True)


async def of_command(session: AsyncSession, command_id: str) -> Result | None:
    """The result of one command."""
    query = select(JobCommandRow.result).where(JobCommandRow.id == uuid.UUID(command_id))
    return parsed((await session.scalars(query)).one_or_none())


async def _newest(session: AsyncSession, job_id: uuid.UUID, epoch: int, kind: str, outcome: str) -> Result | None:
    mine = (JobCommandRow.job_id == job_id, JobCommandRow.epoch == epoch, JobCommandRow.kind == kind)
    query = select(JobCommandRow.result).where(*mine, JobCommandRow.result.is_not(None))
    for stored in await session.scalars(query.order_by(JobCommandRow.ended_at.desc())):
        found = parsed(stored)
        if found is not None and found.WhichOneof("outcome") == outcome:
            return found
    return None


async def published(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> Published | None:
    """Where this attempt's work went; None: it was not published."""
    found = await _newest(session, job_id, epoch, CREATE_PULL_REQUEST, "published")
    if found is None:
        return None
    done = found.published
    is_link = _is_link(done.url) and 0 < done.number <= _MAX_NUMBER
    return Published(done.url if is_link else "", done.number if is_link else 0, done.commit, done.branch, done.updated)


def _is_link(url: str) -> bool:
    """Whether people may be shown it as a link: agents are not Pavo's own."""
    try:
        found = urlsplit(url)
        return (
            len(url) <= _MAX_URL
            and found.scheme in ("http", "https")
            and bool(found.hostname)
            and "@" not in found.netloc
        )
    except ValueError:
        return False


async def told_feedback(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> str:
    """What an attempt was told of reviews when its coding program was begun; empty: nothing, or it was not begun."""
    mine = (JobCommandRow.job_id == job_id, JobCommandRow.epoch == epoch, JobCommandRow.kind == START_EXECUTION)
    query = select(JobCommandRow.request).where(*mine, JobCommandRow.round == 0).limit(1)
    stored = (await session.scalars(query)).one_or_none()
    try:
        return Command.FromString(stored or b"").start_execution.feedback
    except DecodeError:
        return ""


async def verified(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> Verified | None:
    """What this attempt's checks said last; None: they did not run."""
    found = await _newest(session, job_id, epoch, RUN_VERIFICATION, "verified")
    return None if found is None else found.verified


async def executed(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> Executed | None:
    """What this attempt's coding program did last; None: it did not come to its end."""
    found = await _newest(session, job_id, epoch, START_EXECUTION, "executed")
    return None if found is None else found.executed


def failed_checks(result: Result) -> list[str]:
    """Names of the checks that did not pass."""
    return [check.name for check in result.verified.checks if check.exit_code != 0 or check.timed_out]


async def verification_report(session: AsyncSession, job_id: uuid.UUID, epoch: int, round_: int) -> str:
    """What failed in the verification of a round, as the agent that is to repair it reads it; empty: nothing did."""
    mine = (JobCommandRow.job_id == job_id, JobCommandRow.epoch == epoch, JobCommandRow.kind == RUN_VERIFICATION)
    query = select(JobCommandRow.result).where(*mine, JobCommandRow.round == round_, JobCommandRow.result.is_not(None))
    for stored in await session.scalars(query.order_by(JobCommandRow.ended_at.desc())):
        found = parsed(stored)
        if found is not None and found.WhichOneof("outcome") == "verified":
            return "\n\n".join(
                f"The check {check.name!r} {_how(check.exit_code, timed_out=check.timed_out)}:\n"
                f"{check.tail[-TAIL_TOLD:]}"
                for check in found.verified.checks
                if check.exit_code != 0 or check.timed_out
            )
    return ""


def _how(exit_code: int, *, timed_out: bool) -> str:
    return "took too long" if timed_out else f"ended with exit code {exit_code}"


async def error_of(session: AsyncSession, command_id: str, type_: str) -> JobError:
    """Why a command failed, with cause and remedy, as its agent said.

    Args:
        type_: what is shown as its type where the result does not say one.
    """
    result = await of_command(session, command_id) if command_id else None
    outcome = result.WhichOneof("outcome") if result is not None else None
    if result is not None and outcome == "failure":
        said = result.failure
        remedy = said.remedy or "Look at the job's log."
        return {"type": said.type or type_, "cause": said.cause or "The agent gave no cause.", "remedy": remedy}
    if result is not None and outcome == "verified":
        names = ", ".join(failed_checks(result))
        cause = f"The repository's checks still fail: {names}."
        return {"type": type_, "cause": cause, "remedy": "Look at the checks' logs, and say what is to be done."}
    cause = "The agent gave no cause." if command_id else "It is not known why."
    return {"type": type_, "cause": cause, "remedy": "Look at the job's log, and queue it again."}
