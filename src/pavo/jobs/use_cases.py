"""All use cases of jobs that need workflows, as the composition root builds them and endpoints find them."""

from dataclasses import dataclass

from pavo.jobs.attempt.job_gates import JobGates
from pavo.jobs.models.bearers import JobBearers
from pavo.jobs.queue.service import QueueService
from pavo.jobs.requests.submission import JobSubmission
from pavo.jobs.service import JobService


@dataclass(frozen=True, slots=True)
class JobUseCases:
    """What people and programs do with jobs."""

    jobs: JobService
    queue: QueueService
    gates: JobGates
    """What has their gates closed: see `gates.service.GateOwner`."""
    submission: JobSubmission
    bearers: JobBearers
    """Who shows a token of the model gateway for a job: see `llm.gateway.wiring.HasBearers`."""
