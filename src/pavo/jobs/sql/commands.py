"""Commands to remote agents and their results: every write of them, fenced by the attempt's epoch."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.contracts import RunCommand
from pavo.jobs.domain import IN_PROGRESS
from pavo.jobs.sql.results import parsed
from pavo.jobs.sql.transitions import note_stage
from pavo.protocol.fleet_pb2 import Result
from pavo.timeline.domain import Event

_STAGES: Final = ", ".join(f"'{stage}'" for stage in IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class CommandRepository:
    """The repository of a job, as a command tells it."""

    id: uuid.UUID
    clone_url: str
    default_branch: str
    forge: str
    forge_url: str
    prepare: Sequence[Mapping[str, Any]]
    verify: Sequence[Mapping[str, Any]]
    draft: bool
    author_name: str
    author_email: str


@dataclass(frozen=True, slots=True)
class AdoptedWork:
    """What a lost attempt has left, and the next one takes over."""

    epoch: int
    branch: str
    commit: str


@dataclass(frozen=True, slots=True)
class CommandJob:
    """What commands of an attempt are made from."""

    job_id: uuid.UUID
    epoch: int
    agent_id: uuid.UUID | None
    """Whose attempt it is."""
    holds: bool
    """Whether the attempt holds the job."""
    title: str
    prompt: str
    base_branch: str
    branch: str
    program: str
    options: Mapping[str, Any]
    feedback: str
    draft: bool
    repository: CommandRepository
    adopts: AdoptedWork | None = None
    """What it takes over instead of running the coding program."""


@dataclass(frozen=True, slots=True)
class StoredCommand:
    """A command as it was written first."""

    request: bytes
    result: bytes | None


_JOB: Final = text(f"""
SELECT j.id, a.epoch, a.agent_id, j.epoch = a.epoch AND j.stage IN ({_STAGES}) AS holds, j.title, j.prompt,
    j.base_branch, j.branch, j.program, j.options, j.feedback, j.draft, r.id AS repository_id, r.clone_url,
    r.default_branch, r.forge, r.forge_url, r.prepare, r.verify, r.draft AS drafts,
    r.author_name, r.author_email,
    kept.epoch AS kept_epoch, kept.branch AS kept_branch, kept.commit AS kept_commit
FROM job_attempts a JOIN jobs j ON j.id = a.job_id JOIN repositories r ON r.id = j.repository_id
LEFT JOIN job_attempts kept ON kept.job_id = j.id AND kept.epoch = j.adopts AND kept.epoch < a.epoch
    AND kept.branch IS NOT NULL AND kept.commit IS NOT NULL
WHERE a.job_id = :job AND a.epoch = :epoch
""")


async def job_of(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> CommandJob | None:
    """What commands of this attempt are made from; None: there is no such attempt."""
    row = (await session.execute(_JOB, {"job": job_id, "epoch": epoch})).one_or_none()
    if row is None:
        return None
    repository = CommandRepository(
        row.repository_id,
        row.clone_url,
        row.default_branch,
        row.forge,
        row.forge_url,
        row.prepare,
        row.verify,
        row.drafts,
        row.author_name,
        row.author_email,
    )
    kept = None if row.kept_epoch is None else AdoptedWork(row.kept_epoch, row.kept_branch, row.kept_commit)
    told = (row.title, row.prompt, row.base_branch, row.branch, row.program, row.options, row.feedback, row.draft)
    return CommandJob(row.id, row.epoch, row.agent_id, row.holds, *told, repository, kept)


_FORMER: Final = text("""
SELECT result FROM job_commands WHERE job_id = :job AND epoch = :epoch AND kind = :kind AND result IS NOT NULL
ORDER BY round DESC, ended_at DESC LIMIT 20
""")


async def former_result(session: AsyncSession, request: RunCommand, kind: str, outcome: str) -> Result:
    """The newest result with this outcome of a command of the same attempt; an empty one where there is none."""
    values = {"job": uuid.UUID(request.job_id), "epoch": request.epoch, "kind": kind}
    for stored in (await session.execute(_FORMER, values)).scalars():
        found = parsed(stored)
        if found is not None and found.WhichOneof("outcome") == outcome:
            return found
    return Result()


_PUT: Final = text(f"""
INSERT INTO job_commands (id, job_id, epoch, kind, round, request)
SELECT :id, id, :epoch, :kind, :round, :request FROM jobs
WHERE id = :job AND epoch = :epoch AND stage IN ({_STAGES})
ON CONFLICT (id) DO NOTHING
""")
_FIND: Final = text("SELECT request, result FROM job_commands WHERE id = :id")
_SENT: Final = text("UPDATE job_commands SET sent_at = coalesce(sent_at, pavo_now()) WHERE id = :id")


async def find(session: AsyncSession, command_id: str) -> StoredCommand | None:
    """A command that was written before."""
    row = (await session.execute(_FIND, {"id": uuid.UUID(command_id)})).one_or_none()
    return None if row is None else StoredCommand(row.request, row.result)


async def put(session: AsyncSession, request: RunCommand, document: bytes) -> StoredCommand | None:
    """Write a command; as it was written first, where it was. None: the attempt does not hold the job."""
    values = {
        "id": uuid.UUID(request.command_id),
        "job": uuid.UUID(request.job_id),
        "epoch": request.epoch,
        "kind": request.kind,
        "round": request.round,
        "request": document,
    }
    await session.execute(_PUT, values)
    return await find(session, request.command_id)


async def sent(session: AsyncSession, command_id: str) -> None:
    """It goes to the agent now; the first time counts."""
    await session.execute(_SENT, {"id": uuid.UUID(command_id)})


_ACCEPTED: Final = text("""
UPDATE job_commands c SET accepted_at = pavo_now() FROM job_attempts a
WHERE c.id = :id AND c.accepted_at IS NULL AND a.job_id = c.job_id AND a.epoch = c.epoch AND a.agent_id = :agent
""")


async def accepted(session: AsyncSession, command_id: uuid.UUID, agent_id: uuid.UUID) -> None:
    """The agent has it in its journal. Of another agent's command nothing changes."""
    await session.execute(_ACCEPTED, {"id": command_id, "agent": agent_id})


@dataclass(frozen=True, slots=True)
class NewResult:
    """A result as an agent sent it."""

    command_id: uuid.UUID
    agent_id: uuid.UUID
    document: bytes
    commit: str = ""
    """Of the work, where the result names one."""
    branch: str = ""
    """That was pushed, where one was."""
    finished: bool = False
    """Whether it says that the coding program came to its end."""


@dataclass(frozen=True, slots=True)
class ResultKept:
    """What became of a result."""

    known: bool
    """Whether there is such a command."""
    own: bool
    """Whether it was the agent's; a foreign one changed nothing."""
    job_id: uuid.UUID | None = None
    epoch: int = 0
    kind: str = ""
    """Of the command."""
    first: bool = True
    """Whether it was not stored before."""


_OWNER: Final = text(
    """
SELECT c.job_id, c.epoch, c.kind, a.agent_id, j.epoch <> c.epoch OR j.stage NOT IN (:stages) AS late
FROM job_commands c JOIN jobs j ON j.id = c.job_id
LEFT JOIN job_attempts a ON a.job_id = c.job_id AND a.epoch = c.epoch
WHERE c.id = :id FOR NO KEY UPDATE OF c
""".replace(":stages", _STAGES)
)
_RESULT: Final = text("""
UPDATE job_commands SET result = :result, ended_at = pavo_now(), accepted_at = coalesce(accepted_at, pavo_now()),
    late = :late
WHERE id = :id AND result IS NULL
""")
_COMMITTED: Final = text("""
UPDATE job_attempts SET commit = coalesce(nullif(:commit, ''), commit), branch = coalesce(nullif(:branch, ''), branch),
    finished = finished OR :finished
WHERE job_id = :job AND epoch = :epoch
""")
_HEARD: Final = text("UPDATE jobs SET heard_at = pavo_now() WHERE id = :job AND epoch = :epoch")


async def keep_result(session: AsyncSession, new: NewResult) -> ResultKept:
    """Store a result, once; one of an attempt that does not hold its job any more is kept, and marked late."""
    row = (await session.execute(_OWNER, {"id": new.command_id})).one_or_none()
    if row is None:
        return ResultKept(known=False, own=False)
    if row.agent_id != new.agent_id:
        return ResultKept(known=True, own=False)
    stored: Any = await session.execute(_RESULT, {"id": new.command_id, "result": new.document, "late": row.late})
    attempt = {"job": row.job_id, "epoch": row.epoch}
    if new.commit or new.branch or new.finished:
        told = {"commit": new.commit, "branch": new.branch, "finished": new.finished}
        await session.execute(_COMMITTED, {**attempt, **told})
    await session.execute(_HEARD, attempt)
    of = {"job_id": row.job_id, "epoch": row.epoch, "kind": row.kind}
    return ResultKept(known=True, own=True, **of, first=stored.rowcount > 0)


_UNDER_WAY: Final = text("""
SELECT 1 FROM job_commands c JOIN job_attempts a ON a.job_id = c.job_id AND a.epoch = c.epoch
WHERE c.id = :command AND c.job_id = :job AND c.epoch = :epoch AND c.ended_at IS NULL AND a.agent_id = :agent
""")


@dataclass(frozen=True, slots=True)
class ReportedStage:
    """What an agent says it is at."""

    job_id: uuid.UUID
    epoch: int
    agent_id: uuid.UUID
    command_id: uuid.UUID
    stage: str
    """As it says."""


async def show_stage(session: AsyncSession, told: ReportedStage) -> Sequence[Event]:
    """Show the stage and tell of it, where its attempt holds the job and the command is not over; else nothing.

    Returns:
        what is to be published after the commit.
    """
    values = {"job": told.job_id, "epoch": told.epoch, "agent": told.agent_id, "command": told.command_id}
    if (await session.execute(_UNDER_WAY, values)).first() is None:
        return ()
    return await note_stage(session, told.job_id, told.epoch, told.stage)
