"""The documents of commands, made from the rows of the job."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import InternalError
from pavo.forges.describing import ChangedFile, Described, Verification, describe
from pavo.jobs import contracts as c
from pavo.jobs.domain import fenced_branch
from pavo.jobs.sql import commands, results
from pavo.jobs.sql.commands import CommandJob, CommandRepository
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import CHECK_SECONDS

EXECUTE_SECONDS: Final = 6 * 3600
"""For the coding program, where the job's options name no `timeout_seconds`."""
IDLE_SECONDS: Final = 900
"""Without output, where the job's options name no `idle_seconds`."""
PLAN_SECONDS: Final = 3600
PUBLISH_SECONDS: Final = 600
CLEANUP_SECONDS: Final = 600
STATUS: Final = "pavo/verification"
"""Whose the status of a commit is."""
MAX_TEXT: Final = 200_000
"""Characters of feedback, of a plan and of a pull request's text."""


async def document_of(session: AsyncSession, request: c.RunCommand, job: CommandJob, api_url: str = "") -> bytes:
    """The message of a command, serialised; the same rows give the same.

    Args:
        api_url: of the API, as people reach it, where jobs are linked; empty: they are not.
    """
    command = pb.Command(id=request.command_id, job_id=request.job_id, epoch=request.epoch)
    if request.kind == c.START_EXECUTION:
        await _start_execution(session, request, job, command)
    elif request.kind == c.RUN_VERIFICATION:
        checks = _checks(job.repository.verify)
        command.run_verification.CopyFrom(pb.RunVerification(checks=checks))
        command.timeout_seconds = sum(check.timeout_seconds for check in checks) + 60
    elif request.kind == c.CREATE_PULL_REQUEST:
        await _create_pull_request(session, request, job, command, api_url)
    elif request.kind == c.CLEANUP:
        command.cleanup.CopyFrom(pb.Cleanup(job_id=request.job_id, epoch=request.epoch))
        command.timeout_seconds = CLEANUP_SECONDS
    elif request.kind == c.MAKE_PLAN:
        _make_plan(job, command)
    elif request.kind == c.KEEP_LATE_WORK:
        _keep_late_work(job, command)
    else:
        raise InternalError(f"There is no command {request.kind!r}.")
    return command.SerializeToString(deterministic=True)


async def _start_execution(session: AsyncSession, request: c.RunCommand, job: CommandJob, command: pb.Command) -> None:
    planned = (await commands.former_result(session, request, c.MAKE_PLAN, "planned")).planned
    command.start_execution.CopyFrom(
        pb.StartExecution(
            repository=_repository(job.repository),
            base_branch=job.base_branch,
            branch=job.branch,
            title=job.title,
            prompt=job.prompt,
            program=_program(job),
            prepare=_checks(job.repository.prepare),
            round=request.round,
            feedback=await _feedback(session, request, job),
            plan=planned.text[:MAX_TEXT],
            idle_seconds=_seconds(job.options, "idle_seconds", IDLE_SECONDS),
        )
    )
    if job.adopts is not None:
        adopted = await results.executed(session, job.job_id, job.adopts.epoch)
        summary = adopted.summary if adopted is not None else ""
        command.start_execution.adopted.CopyFrom(
            pb.Adopted(
                epoch=job.adopts.epoch, branch=job.adopts.branch, commit=job.adopts.commit, summary=summary[:MAX_TEXT]
            )
        )
    prepare = sum(check.timeout_seconds for check in command.start_execution.prepare)
    command.timeout_seconds = execute_seconds(job.options) + prepare


def execute_seconds(options: Mapping[str, Any]) -> int:
    """So long a coding program may run."""
    return max(_seconds(options, "timeout_seconds", EXECUTE_SECONDS), 1)


def _make_plan(job: CommandJob, command: pb.Command) -> None:
    command.make_plan.CopyFrom(
        pb.MakePlan(
            repository=_repository(job.repository),
            base_branch=job.base_branch,
            title=job.title,
            prompt=job.prompt,
            program=_program(job),
            feedback=job.feedback[:MAX_TEXT],
        )
    )
    command.timeout_seconds = PLAN_SECONDS


async def _create_pull_request(
    session: AsyncSession, request: c.RunCommand, job: CommandJob, command: pb.Command, api_url: str
) -> None:
    url = f"{api_url}/api/jobs/{job.job_id}" if api_url else ""
    executed = (await commands.former_result(session, request, c.START_EXECUTION, "executed")).executed
    verified = (await commands.former_result(session, request, c.RUN_VERIFICATION, "verified")).verified
    command.create_pull_request.CopyFrom(
        pb.CreatePullRequest(
            repository=_repository(job.repository),
            base_branch=job.base_branch,
            branch=job.branch,
            push_branch=job.branch,
            title=job.title,
            body=_body(job, executed, verified, url)[:MAX_TEXT],
            draft=job.draft or job.repository.draft,
            commit_message=f"{job.title}\n\nPavo-Job: {job.job_id}",
        )
    )
    if job.repository.forge and verified.checks:
        command.create_pull_request.status.CopyFrom(_status(verified, url))
    command.timeout_seconds = PUBLISH_SECONDS


def _status(verified: pb.Verified, url: str) -> pb.CommitStatus:
    """What the forge shows beside the commit: how the repository's checks ended."""
    failed = sum(check.exit_code != 0 or check.timed_out for check in verified.checks)
    count = len(verified.checks)
    told = f"{failed} of {count} checks failed" if failed else f"{count} {'check' if count == 1 else 'checks'} passed"
    return pb.CommitStatus(state="failure" if failed else "success", context=STATUS, description=told, url=url)


def _keep_late_work(job: CommandJob, command: pb.Command) -> None:
    command.keep_late_work.CopyFrom(
        pb.KeepLateWork(
            repository=_repository(job.repository),
            base_branch=job.base_branch,
            branch=job.branch,
            push_branch=fenced_branch(job.branch, job.epoch),
            commit_message=f"{job.title}\n\nPavo-Job: {job.job_id}\nPavo-Attempt: {job.epoch}",
        )
    )
    command.timeout_seconds = PUBLISH_SECONDS


def _body(job: CommandJob, executed: pb.Executed, verified: pb.Verified, url: str) -> str:
    checks = [Verification(each.name, each.exit_code, each.seconds, each.timed_out) for each in verified.checks]
    files = [ChangedFile(each.path, each.change, each.added, each.removed) for each in executed.files]
    done = executed.summary or "The program left no words of its own."
    return describe(Described(job.prompt, done, checks, files, f"Pavo job `{job.job_id}`, attempt {job.epoch}", url))


async def _feedback(session: AsyncSession, request: c.RunCommand, job: CommandJob) -> str:
    """Of the review in the first round, of the failed verification later."""
    if request.round == 0:
        return job.feedback[:MAX_TEXT]
    return (await results.verification_report(session, job.job_id, job.epoch, request.round - 1))[:MAX_TEXT]


def _repository(found: CommandRepository) -> pb.Repository:
    return pb.Repository(
        id=str(found.id),
        clone_url=found.clone_url,
        default_branch=found.default_branch,
        forge=found.forge,
        forge_url=found.forge_url,
        author_name=found.author_name,
        author_email=found.author_email,
    )


def _program(job: CommandJob) -> pb.Program:
    options = json.dumps(dict(job.options), sort_keys=True)
    return pb.Program(profile=job.program, options=options, gateway=job.options.get("gateway") is True)


def _checks(found: Sequence[Mapping[str, Any]]) -> list[pb.Check]:
    return [
        pb.Check(
            name=str(each.get("name", "")),
            command=str(each.get("command", "")),
            timeout_seconds=_seconds(each, "timeout_seconds", CHECK_SECONDS),
        )
        for each in found
    ]


def _seconds(options: Mapping[str, Any], name: str, default: int) -> int:
    found = options.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 1 <= found <= 7 * 86_400:
        return default
    return int(found)
