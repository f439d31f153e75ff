"""Coding jobs, as work that something else has done."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from pavo.accounts.domain import Identity
from pavo.errors import WrongStage
from pavo.jobs.domain import DONE
from pavo.jobs.domain import OVER as JOB_OVER
from pavo.jobs.requests.schemas import JobCreate
from pavo.jobs.requests.submission import JobSubmission
from pavo.jobs.service import JobService
from pavo.works.work import Outcome, read_body


class JobWork:
    """Coding jobs."""

    def __init__(self, jobs: JobService, submission: JobSubmission) -> None:
        self._jobs, self._submission = jobs, submission

    async def check(self, who: Identity, body: BaseModel) -> None:
        """As a job is checked when it is submitted."""
        assert isinstance(body, JobCreate)
        await self._submission.check(who.organisation_id, body)

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        """A job, which waits for an agent."""
        job, _ = await self._submission.submit(who, who.organisation_id, read_body(JobCreate, body), key)
        return job.id

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Its queue does."""

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """Of jobs."""
        return await self._jobs.stages(subject_ids)

    def is_over(self, stage: str) -> bool:
        """Whether it is."""
        return stage in JOB_OVER

    async def outcome(self, who: Identity, subject_id: uuid.UUID) -> Outcome:
        """Where its work is, or why there is none."""
        job = await self._jobs.get(who, subject_id)
        if job.stage != DONE:
            cause = (job.error or {}).get("cause") or f"the job is {job.stage}"
            return Outcome(job.stage, error=str(cause))
        told = {
            "outcome": job.outcome,
            "branch": job.branch,
            "commit": job.commit,
            "pull_request": job.pull_request_url,
        }
        return Outcome(job.stage, told)

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Cancel it."""
        try:
            await self._jobs.cancel(who, subject_id)
        except WrongStage:
            return  # it is over
